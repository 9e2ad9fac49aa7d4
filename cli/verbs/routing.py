"""``mlops routing``."""

from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import Json, UseCaseArgument
from mlops_platform.clients.prediction_service import PredictionService
from mlops_platform.models.routing import Routing


def routing(
    use_case: UseCaseArgument,
    *,
    challenger_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="share of the ids that the challenger answers, by id")
    ] = None,
    shadow: Annotated[
        bool | None, typer.Option("--shadow/--no-shadow", help="the challenger predicts beside, for the log only")
    ] = None,
    json: Json = False,
) -> None:
    """Show who answers, the champion or the challenger; with an option, set it while the service runs."""
    service = PredictionService(installation())
    found = service.routing(use_case.name)
    share = found.challenger_share if challenger_share is None else challenger_share
    wanted = Routing(challenger_share=share, shadow=found.shadow if shadow is None else shadow)
    if wanted != found:
        found = service.set_routing(use_case.name, wanted)
    if json:
        typer.echo(as_json(found.model_dump()))
    else:
        typer.echo(f"the challenger answers {found.challenger_share:.6g} of the ids")
        typer.echo(f"shadow predictions are {'on' if found.shadow else 'off'}")
