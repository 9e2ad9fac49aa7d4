"""``mlops run``."""

import enum
from typing import Annotated, Any

import typer

from cli.installation import installation
from cli.output import as_json, show_progress
from cli.parameters import Json, Timeout, UseCaseArgument
from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient, DagRun
from mlops_platform.pipelines.follow import (
    FeaturesResult,
    TrainingResult,
    follow_pipeline,
    follow_training,
    start_features,
    start_training,
)
from mlops_platform.pipelines.results import TrainingOutcome


class Pipeline(enum.StrEnum):
    """What can be run."""

    FEATURES = "features"
    TRAINING = "training"


def run(
    use_case: UseCaseArgument,
    pipeline: Annotated[Pipeline, typer.Argument(help="features: and the training that follows; training: by itself")],
    *,
    dataset_version: Annotated[int, typer.Option(min=0, help="features: the dataset; 0 is the latest")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="features: compute and check all, write nothing")] = False,
    snapshot: Annotated[str | None, typer.Option(help="training: the snapshot [default: the published one]")] = None,
    require_approval: Annotated[
        bool, typer.Option("--require-approval", help="training: a person decides before the promotion")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="do the work also where nothing is new")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="wait for the end and say what came of it")] = True,
    timeout: Timeout = 1800,
    json: Json = False,
) -> None:
    """Run a pipeline through Airflow.

    A features run that publishes a snapshot starts the training, and --wait follows it as well. Where the same data,
    code and spec have been worked on before, nothing is done ("unchanged"), unless --force is given. That is a result
    and no error, and so is a rejected candidate: the exit code is 0, and the failed rules are named.
    """
    if pipeline is Pipeline.FEATURES and (snapshot or require_approval):
        raise typer.BadParameter("--snapshot and --require-approval belong to the training pipeline")
    if pipeline is Pipeline.TRAINING and (dataset_version or dry_run):
        raise typer.BadParameter("--dataset-version and --dry-run belong to the features pipeline")
    name = use_case.name
    with AirflowClient(installation(), patience=AWAY_SECONDS, progress=show_progress) as airflow:
        if pipeline is Pipeline.FEATURES:
            started = start_features(airflow, name, dataset_version=dataset_version, dry_run=dry_run, force=force)
        else:
            started = start_training(airflow, name, snapshot=snapshot, require_approval=require_approval, force=force)
        if not wait:
            _show_started(started, airflow.run_url(started), json=json)
        elif pipeline is Pipeline.FEATURES:
            done = follow_pipeline(airflow, name, started, timeout, show_progress)
            _show_done(done.features, done.training, json=json)
        else:
            _show_done(None, follow_training(airflow, started, timeout, show_progress), json=json)


def _show_started(run: DagRun, url: str, *, json: bool) -> None:
    if json:
        typer.echo(as_json({"dag_id": run.dag_id, "run_id": run.run_id, "state": run.state}))
    else:
        typer.echo(f"started {run.run_id}: {url}")


def _show_done(features: FeaturesResult | None, training: TrainingResult | None, *, json: bool) -> None:
    if json:
        typer.echo(as_json(_content(features, training)))
        return
    if features is not None:
        typer.echo(_features_text(features))
    if training is not None:
        typer.echo(_training_text(training))


def _features_text(features: FeaturesResult) -> str:
    if features.unchanged:
        return f"unchanged: snapshot {features.snapshot} has the same data, code and spec"
    if features.snapshot is None:
        return "dry run: nothing was written"
    older = "" if features.announced else ", which is older than the published one: that one stays"
    return f"published snapshot {features.snapshot}{older}"


def _training_text(training: TrainingResult) -> str:
    notes = {
        TrainingOutcome.PROMOTED: f"champion is version {training.model_version}",
        TrainingOutcome.NOT_APPROVED: "not promoted: the approval was refused, or nobody answered in time",
        TrainingOutcome.UNCHANGED: f"unchanged: version {training.model_version} has the same snapshot, code and spec",
    }
    lines = [str(training.verdict)] if training.verdict else []
    return "\n".join([*lines, *filter(None, [notes.get(training.outcome)])])


def _content(features: FeaturesResult | None, training: TrainingResult | None) -> dict[str, Any]:
    verdict = training.verdict if training else None
    return {
        "snapshot": features.snapshot if features else verdict.snapshot if verdict else None,
        "features_run": features.run.run_id if features else None,
        "training_run": training.run.run_id if training else None,
        "verdict": verdict.model_dump(mode="json") if verdict else None,
        "promoted": training.promoted if training else None,
        "unchanged": all(one.unchanged for one in (features, training) if one),
    }
