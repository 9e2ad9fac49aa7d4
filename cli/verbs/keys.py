"""``mlops keys``."""

import enum
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json, show_rows
from cli.parameters import Json
from cli.verb import verb
from mlops_platform.clients.prediction_service import PredictionService

keys = typer.Typer(help="API keys of the prediction service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="whose key it is")]


class Scope(enum.StrEnum):
    """What a key may do."""

    READ = "read"
    ADMIN = "admin"


@verb(keys, "mlops keys list", "mlops keys list --json", name="list")
def list_keys(*, json: Json = False) -> None:
    """List whose keys there are."""
    show_rows(PredictionService(installation()).keys(), ("name", "scope"), json=json)


@verb(keys, "mlops keys add dashboard", "mlops keys add deployer --scope admin")
def add(
    name: Name,
    scope: Annotated[Scope, typer.Option(help="admin: roll back, route, replay, make keys")] = Scope.READ,
    *,
    json: Json = False,
) -> None:
    """Make a key and print it. It is kept as a hash, so this is the only time that it is shown."""
    key = PredictionService(installation()).make_key(name, scope)
    typer.echo(as_json({"name": name, "scope": scope, "key": key}) if json else key)


@verb(keys, "mlops keys remove dashboard")
def remove(name: Name, *, json: Json = False) -> None:
    """Make a key worthless within a second."""
    PredictionService(installation()).revoke_key(name)
    typer.echo(as_json({"name": name, "removed": True}) if json else f"removed: {name}")
