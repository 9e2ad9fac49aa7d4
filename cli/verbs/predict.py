"""``mlops predict``."""

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import EntityId, UseCaseOption
from mlops_platform.clients.prediction_service import PredictionService
from mlops_platform.use_case.find import get_use_case


def predict(entity_id: EntityId, use_case: UseCaseOption = None) -> None:
    """Ask the prediction service for the prediction of one id."""
    settings = installation()
    asked = use_case or get_use_case(settings.serving_default_use_case)
    typer.echo(as_json(PredictionService(settings).prediction(asked.name, entity_id)))
