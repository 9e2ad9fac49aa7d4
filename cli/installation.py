"""What a verb works on: the services of this installation, by their addresses, or its lake as well.

Where the services are containers, ``mlops`` is a program of this machine all the same: it reads what the watcher saw,
and asks services through the ports that lead to them. The lake alone is a volume that this machine does not see.
"""

from collections.abc import Mapping

import typer

from mlops_platform.settings import PROJECT_ROOT, PlatformSettings, load_settings
from stack.bare import compose


def installation() -> PlatformSettings:
    """The settings of this installation, for a verb that asks services or reads what the watcher saw.

    Raises:
        PlatformError: a setting has a value that it does not take.
    """
    return load_settings()


def with_lake(context: typer.Context, files: Mapping[str, str] | None = None) -> PlatformSettings:
    """The settings of this installation, for a verb that reads or writes the lake.

    Where services are containers this does not return: the command runs in one of them, and ends as it ends there.

    Args:
        context: the verb's; its ``obj`` is the command line.
        files: what the command reads of this machine: each argument that names a file, and its end that is the path.

    Raises:
        PlatformError: a setting has a value that it does not take.
        Refused: there is no such file, or it could not be copied into the container.
    """
    settings = load_settings()
    if settings.mode == "docker":
        raise typer.Exit(compose.mlops(PROJECT_ROOT, context.obj, files or {}))
    return settings


def default_use_case() -> str:
    """The name of the use case that is meant where none is named.

    Raises:
        PlatformError: a setting has a value that it does not take.
    """
    return load_settings().serving_default_use_case
