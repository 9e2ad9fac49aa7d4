"""``mlops approve``."""

from typing import Annotated

import typer

from cli.installation import with_lake
from cli.output import as_json, show_progress
from cli.parameters import Json, Timeout, UseCaseArgument
from mlops_platform.audit import AuditLog, act_of_the_command_line
from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient
from mlops_platform.lake.lake import Lake
from mlops_platform.pipelines.follow import answer_approval


def approve(
    context: typer.Context,
    use_case: UseCaseArgument,
    *,
    reject: Annotated[bool, typer.Option("--reject", help="leave the champion as it is")] = False,
    timeout: Timeout = 1800,
    json: Json = False,
) -> None:
    """Let a trained model be promoted, or reject it.

    Answers the training run that asks for an approval, and waits for one that still trains.
    """
    settings = with_lake(context)
    act = act_of_the_command_line("rejection" if reject else "approval", use_case.name)
    with (
        AirflowClient(settings, patience=AWAY_SECONDS, progress=show_progress) as airflow,
        AuditLog(Lake(settings.lake_root)).recording(act) as outcome,
    ):
        answered = answer_approval(airflow, use_case.name, approve=not reject, timeout=timeout, progress=show_progress)
        outcome.update(run=answered.run_id, subject=answered.subject)
    answer = "rejected" if reject else "approved"
    if json:
        typer.echo(as_json({"answer": answer, "subject": answered.subject, "run_id": answered.run_id}))
    else:
        typer.echo(f"{answer}: {answered.subject} ({answered.run_id})")
