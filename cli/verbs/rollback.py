"""``mlops rollback``."""

from typing import Annotated

import typer

from cli.installation import installation
from cli.parameters import UseCaseArgument
from mlops_platform.clients.prediction_service import PredictionService


def rollback(
    use_case: UseCaseArgument,
    to: Annotated[
        str | None, typer.Option(help="the version [default: the champion before]", metavar="VERSION")
    ] = None,
) -> None:
    """Make an earlier model the champion again, in the registry and in the prediction service."""
    done = PredictionService(installation()).roll_back(use_case.name, to)
    typer.echo(f"champion is version {done.champion}, before it was {done.before or 'none'}")
