"""The pipeline from outside: start the DAGs of a use case, follow them to their end, and say what came of it."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mlops_platform.clients.airflow import (
    AWAY_SECONDS,
    AirflowClient,
    AirflowError,
    Approval,
    DagRun,
    Progress,
    RunFailed,
)
from mlops_platform.models.verdict import Verdict
from mlops_platform.pipelines.names import ANNOUNCE_TASK, REPORT_TASK, TRAIN_TASK, features_dag, training_dag
from mlops_platform.pipelines.results import FeaturesOutcome, FeaturesReport, TrainingOutcome, TrainingReport

DAG_DEADLINE = 120.0
"""Seconds within which Airflow has read a new DAG file."""
FOLLOW_DEADLINE = AWAY_SECONDS
"""Seconds within which a published snapshot has started its training run, a restart of the scheduler included."""
APPROVAL_SETTLES = dt.timedelta(seconds=3)
_POLL_SECONDS = 1.0

Found = TypeVar("Found")


@dataclass(frozen=True)
class FeaturesResult:
    """A features run that ended well.

    ``snapshot`` is None after a dry run. ``announced`` says if the snapshot starts a training run: one that was there
    already does not, nor one of an older date than the published one.
    """

    run: DagRun
    snapshot: str | None
    unchanged: bool = False
    announced: bool = False


@dataclass(frozen=True)
class TrainingResult:
    """A training run that ended well. ``verdict`` is None where nothing was trained, since nothing is new."""

    run: DagRun
    outcome: TrainingOutcome
    model_version: str | None
    verdict: Verdict | None

    @property
    def promoted(self) -> bool:
        """Whether its model is the champion now."""
        return self.outcome is TrainingOutcome.PROMOTED

    @property
    def unchanged(self) -> bool:
        return self.outcome is TrainingOutcome.UNCHANGED


@dataclass(frozen=True)
class PipelineResult:
    """Both DAGs, from a dataset to a verdict. ``training`` is None where the features run announced nothing."""

    features: FeaturesResult
    training: TrainingResult | None


class Deadline:
    """A number of seconds that several waits share."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())


def start_features(
    airflow: AirflowClient, use_case: str, *, dataset_version: int = 0, dry_run: bool = False, force: bool = False
) -> DagRun:
    """Trigger the features DAG, as soon as Airflow has read it."""
    conf: dict[str, object] = {"dataset_version": dataset_version, "dry_run": dry_run, "force": force}
    return _trigger(airflow, features_dag(use_case), conf)


def start_training(
    airflow: AirflowClient,
    use_case: str,
    *,
    snapshot: str | None = None,
    require_approval: bool = False,
    force: bool = False,
) -> DagRun:
    """Trigger the training DAG on a snapshot, or on the published one."""
    conf: dict[str, object] = {"snapshot": snapshot, "require_approval": require_approval, "force": force}
    return _trigger(airflow, training_dag(use_case), conf)


def follow_pipeline(
    airflow: AirflowClient, use_case: str, run: DagRun, timeout: float, progress: Progress
) -> PipelineResult:
    """Wait for a features run, and for the training run that its snapshot starts.

    Args:
        timeout: seconds for both.

    Raises:
        RunFailed: one of them failed, the time is over, or there is no dataset to work on.
    """
    deadline = Deadline(timeout)
    features = _follow_features(airflow, use_case, run, deadline.left, progress)
    if not features.announced:
        return PipelineResult(features, None)
    training_run = _training_started_by(airflow, use_case, features.run)
    return PipelineResult(features, follow_training(airflow, training_run, deadline.left, progress))


def follow_training(airflow: AirflowClient, run: DagRun, timeout: float, progress: Progress) -> TrainingResult:
    """Wait for a training run; a rejected candidate is a result, not an error.

    Raises:
        RunFailed: it failed or took too long.
    """
    ended = airflow.wait(run, timeout=timeout, progress=progress)
    report = TrainingReport.model_validate(_reported(airflow, ended))
    verdict = airflow.result(ended.dag_id, ended.run_id, TRAIN_TASK)
    return TrainingResult(
        ended, report.result, report.model_version, None if verdict is None else Verdict.model_validate(verdict)
    )


def _follow_features(
    airflow: AirflowClient, use_case: str, run: DagRun, timeout: float, progress: Progress
) -> FeaturesResult:
    ended = airflow.wait(run, timeout=timeout, progress=progress)
    report = FeaturesReport.model_validate(_reported(airflow, ended))
    if report.result is FeaturesOutcome.NO_DATA:
        raise RunFailed(
            f"the run {ended.run_id} of {ended.dag_id} had nothing to do: {use_case} has no dataset yet",
            remedy=f"add one with `mlops data add {use_case} FILE`",
        )
    states = {task.task_id: task.state for task in airflow.tasks(ended.dag_id, ended.run_id)}
    return FeaturesResult(
        ended,
        report.snapshot,
        unchanged=report.result is FeaturesOutcome.UNCHANGED,
        announced=states.get(ANNOUNCE_TASK) == "success",
    )


def _training_started_by(airflow: AirflowClient, use_case: str, features_run: DagRun) -> DagRun:
    # the run that the announced snapshot went into
    dag_id = training_dag(use_case)

    def started() -> DagRun | None:
        for event in airflow.asset_events(features_run.dag_id, features_run.run_id):
            for run_dag, run_id in event.runs:
                if run_dag == dag_id:
                    return airflow.run(dag_id, run_id)
        return None

    run = _poll(started, FOLLOW_DEADLINE)
    if run is None:
        raise RunFailed(
            f"the snapshot of {features_run.run_id} started no run of {dag_id} within {FOLLOW_DEADLINE:.0f} s",
            remedy=f"unpause {dag_id} in Airflow if it is paused, or start it with `mlops run {use_case} training`",
        )
    return run


def _reported(airflow: AirflowClient, ended: DagRun) -> object:
    reported: object = airflow.result(ended.dag_id, ended.run_id, REPORT_TASK)
    if reported is None:
        raise RunFailed(
            f"the run {ended.run_id} of {ended.dag_id} ended without a result of its task {REPORT_TASK}",
            remedy=f"somebody may have set the run's state by hand: look at {airflow.run_url(ended)}",
        )
    return reported


def answer_approval(
    airflow: AirflowClient, use_case: str, *, approve: bool, timeout: float, progress: Progress
) -> Approval:
    """Answer for the training run that waits for a person, or soon will, and see that Airflow took the answer.

    Raises:
        RunFailed: no run asks for an approval, or it does not come to that point in time.
        AirflowError: somebody else answered first.
    """
    deadline = Deadline(timeout)
    approval = _next_approval(airflow, use_case, deadline, progress)
    while True:
        # Airflow drops an answer that comes while it still books the task as waiting, and then asks again
        time.sleep(max(0.0, (approval.since + APPROVAL_SETTLES - dt.datetime.now(dt.UTC)).total_seconds()))
        airflow.respond(approval, approve=approve)
        again = _poll(partial(_taken_or_asked_again, airflow, approval), deadline.left)
        if again is None:
            raise RunFailed(
                f"the run {approval.run_id} does not go on after the answer",
                remedy="see if airflow-scheduler runs (`mlops status`)",
            )
        if again == approval:
            return approval
        approval = again


def _next_approval(airflow: AirflowClient, use_case: str, deadline: Deadline, progress: Progress) -> Approval:
    dag_id = training_dag(use_case)
    told = False
    while True:
        if pending := airflow.pending_approvals(dag_id):
            return pending[0]
        under_way = airflow.runs(dag_id, limit=20, states=("queued", "running"))
        asking = [run for run in under_way if (run.conf or {}).get("require_approval")]
        if not asking or deadline.left == 0:
            raise RunFailed(
                f"no run of {dag_id} waits for an approval",
                remedy=f"start one with `mlops run {use_case} training --require-approval`, or see what became of the "
                f"last one with `mlops status`: a candidate that fails the quality gate is never asked about",
            )
        if not told:
            progress(f"{asking[-1].run_id} has not come to its approval yet: waiting for it")
            told = True
        time.sleep(_POLL_SECONDS)


def _taken_or_asked_again(airflow: AirflowClient, answered: Approval) -> Approval | None:
    """The same approval once its task has ended, a newer one if Airflow asks again, None as long as it is open."""
    for pending in airflow.pending_approvals(answered.dag_id):
        if pending.run_id == answered.run_id and pending.since > answered.since:
            return pending
    states = {task.task_id: task.state for task in airflow.tasks(answered.dag_id, answered.run_id)}
    return answered if states.get(answered.task_id) in ("success", "failed", "skipped") else None


def _trigger(airflow: AirflowClient, dag_id: str, conf: dict[str, object]) -> DagRun:
    def known() -> bool | None:
        return airflow.has_dag(dag_id) or None

    if _poll(known, DAG_DEADLINE) is None:
        errors = airflow.import_errors()
        raise AirflowError(
            f"Airflow has no DAG {dag_id}" + (f"; files it could not read: {'; '.join(errors)}" if errors else ""),
            remedy="see if airflow-dag-processor runs (`mlops status`) and what its log says",
        )
    return airflow.trigger(dag_id, conf)


def _poll(look: Callable[[], Found | None], seconds: float) -> Found | None:
    deadline = Deadline(seconds)
    while True:
        found = look()
        if found is not None or deadline.left == 0:
            return found
        time.sleep(_POLL_SECONDS)
