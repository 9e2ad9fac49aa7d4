"""``mlops rollback``."""

import dataclasses
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import Json, UseCaseArgument
from mlops_platform.clients.prediction_service import PredictionService


def rollback(
    use_case: UseCaseArgument,
    *,
    to: Annotated[
        str | None, typer.Option(help="the version [default: the champion before]", metavar="VERSION")
    ] = None,
    json: Json = False,
) -> None:
    """Make an earlier model the champion again, in the registry and in the prediction service."""
    done = PredictionService(installation()).roll_back(use_case.name, to)
    if json:
        typer.echo(as_json(dataclasses.asdict(done)))
    else:
        typer.echo(f"champion is version {done.champion}, before it was {done.before or 'none'}")
