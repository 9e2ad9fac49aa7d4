"""``mlops features``."""

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import EntityId, Json, UseCaseArgument
from mlops_platform.clients.prediction_service import PredictionService


def features(use_case: UseCaseArgument, entity_id: EntityId, *, _json: Json = False) -> None:
    """Ask the prediction service for the latest features of one id. The answer is JSON, with --json and without."""
    typer.echo(as_json(PredictionService(installation()).features(use_case.name, entity_id)))
