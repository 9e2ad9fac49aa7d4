"""``mlops predict``."""

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import EntityId, Json, UseCaseArgument
from mlops_platform.clients.prediction_service import PredictionService


def predict(use_case: UseCaseArgument, entity_id: EntityId, *, _json: Json = False) -> None:
    """Ask the prediction service for the prediction of one id. The answer is JSON, with --json and without."""
    typer.echo(as_json(PredictionService(installation()).prediction(use_case.name, entity_id)))
