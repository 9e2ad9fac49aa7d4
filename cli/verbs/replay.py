"""``mlops replay``."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import Json
from mlops_platform.clients.prediction_service import PredictionService


def replay(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="the request_id of an earlier answer")],
    *,
    json: Json = False,
) -> None:
    """Give an earlier answer again, from the snapshot and the model of that time.

    The exit code is 1 if it is not the one that the prediction log has.
    """
    found = PredictionService(installation()).replay(request_id)
    typer.echo(as_json(found) if json else "\n".join(map(_line, found["answers"])))
    if not all(answer["same"] for answer in found["answers"]):
        raise typer.Exit(1)


def _line(answer: Mapping[str, Any]) -> str:
    # what was recorded, and what comes out now if that is something else
    subject = f"row {answer['position']}" if answer["id"] is None else f"id {answer['id']}"
    by = f"{answer['variant']}, version {answer['model_version']}{'' if answer['served'] else ', not served'}"
    features = f"features from the {answer['features_from']}"
    recorded, replayed = (
        f"prediction {one['prediction']}, probability {one['probability']}"
        for one in (answer["recorded"], answer["replayed"])
    )
    verdict = "the same again" if answer["same"] else f"NOT the same again: {replayed}"
    return f"{subject} ({by}; {features}): {recorded}; {verdict}"
