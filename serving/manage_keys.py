"""Makes and removes API keys of the prediction service.

python -m serving.manage_keys add --name dashboard --scope read
python -m serving.manage_keys remove --name dashboard
"""

from pathlib import Path
from typing import Annotated

import typer

from mlops_platform.errors import PlatformError
from mlops_platform.settings import load_settings
from serving.api.keys import Scope, add_key, remove_key
from serving.paths import serving_paths

cli = typer.Typer(help="Keys of the prediction service.", no_args_is_help=True)


def _file() -> Path:
    return serving_paths(load_settings()).api_keys


@cli.command()
def add(name: Annotated[str, typer.Option()], scope: Annotated[Scope, typer.Option()] = "read") -> None:
    """Make a key and print it; it is shown once."""
    typer.echo(add_key(_file(), name, scope))


@cli.command()
def remove(name: Annotated[str, typer.Option()]) -> None:
    """Make a key worthless, in every worker within a second."""
    remove_key(_file(), name)


if __name__ == "__main__":
    try:
        cli()
    except PlatformError as error:
        raise SystemExit(str(error)) from None
