"""``mlops approve``."""

from typing import Annotated

import typer

from cli.installation import installation
from cli.output import show_progress
from cli.parameters import Timeout, UseCaseArgument
from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.pipelines.follow import answer_approval


def approve(
    context: typer.Context,
    use_case: UseCaseArgument,
    reject: Annotated[bool, typer.Option("--reject", help="leave the champion as it is")] = False,
    timeout: Timeout = 1800,
) -> None:
    """Let a trained model be promoted, or reject it.

    Answers the training run that asks for an approval, and waits for one that still trains.
    """
    with AirflowClient(installation(context)) as airflow:
        answered = answer_approval(airflow, use_case.name, approve=not reject, timeout=timeout, progress=show_progress)
    typer.echo(f"{'rejected' if reject else 'approved'}: {answered.subject} ({answered.run_id})")
