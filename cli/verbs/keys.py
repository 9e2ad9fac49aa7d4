"""``mlops keys``."""

import enum
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json, show_progress, show_rows
from cli.parameters import Json
from mlops_platform.clients.prediction_service import PredictionService

keys = typer.Typer(help="API keys of the prediction service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="whose key it is")]


class Scope(enum.StrEnum):
    """What a key may do."""

    READ = "read"
    ADMIN = "admin"


@keys.command("list")
def list_keys(context: typer.Context, *, json: Json = False) -> None:
    """List whose keys there are."""
    show_rows(PredictionService(installation(context)).keys(), ("name", "scope"), json=json)


@keys.command()
def add(
    context: typer.Context,
    name: Name,
    scope: Annotated[Scope, typer.Option(help="admin: roll back, route, replay, make keys")] = Scope.READ,
    *,
    json: Json = False,
) -> None:
    """Make a key and print it. It is kept as a hash, so this is the only time that it is shown."""
    key = PredictionService(installation(context)).make_key(name, scope)
    typer.echo(as_json({"name": name, "scope": scope, "key": key}) if json else key)


@keys.command()
def remove(context: typer.Context, name: Name) -> None:
    """Make a key worthless within a second."""
    PredictionService(installation(context)).revoke_key(name)
    show_progress(f"removed: {name}")
