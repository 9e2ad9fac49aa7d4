"""Where a verb does its work: here, or in a container that has the lake and reaches the services."""

from pathlib import Path

import typer

from mlops_platform.settings import PROJECT_ROOT, PlatformSettings, load_settings
from stack.bare import compose


def installation(context: typer.Context, file: Path | None = None) -> PlatformSettings:
    """The settings of this installation, which a verb asks for once its command line has been understood.

    Where services are containers this does not return: the command runs in one of them, and ends as it ends there.

    Args:
        context: the verb's; its ``obj`` is the command line.
        file: a file of this machine that the command reads; its last argument.

    Raises:
        PlatformError: a setting has a value that it does not take.
        Refused: there is no such file, or it could not be copied into the container.
    """
    settings = load_settings()
    if settings.mode == "docker":
        raise typer.Exit(compose.mlops(PROJECT_ROOT, context.obj, file))
    return settings
