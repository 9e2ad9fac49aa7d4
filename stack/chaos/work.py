"""The work that goes on while something is killed: runs of the pipelines that are forced, so that there is some."""

from enum import StrEnum

from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient, DagRun
from mlops_platform.errors import PlatformError
from mlops_platform.pipelines.follow import follow_pipeline, follow_training, start_features, start_training
from mlops_platform.pipelines.names import (
    ANNOUNCE_TASK,
    COMPUTE_TASK,
    PROMOTE_TASK,
    REPORT_TASK,
    RESOLVE_DATASET_TASK,
    TRAIN_TASK,
)
from mlops_platform.settings import PlatformSettings
from stack.chaos.background import in_background

RUN_WITHIN = 1800.0
"""Seconds for a run with all its attempts, as `mlops run` has by default."""
_NOT_BEGUN = (None, "none", "scheduled", "queued")


class Work(StrEnum):
    """What is under way. Predictions are asked for, and their log is published, in any case."""

    FEATURES = "features"
    """Computed and published, and the training that follows."""
    TRAINING = "training"
    """On the published snapshot, and the promotion."""


STEPS = {
    Work.FEATURES: (RESOLVE_DATASET_TASK, COMPUTE_TASK, ANNOUNCE_TASK),
    Work.TRAINING: (TRAIN_TASK, PROMOTE_TASK, REPORT_TASK),
}
"""The tasks of the work's first DAG that rounds wait for."""


class RunUnderWay:
    """A forced run that is followed to its end as `mlops run` does.

    Args:
        airflow: to look at the run's tasks; whoever follows the run has a client of its own, which is patient.

    Raises:
        PlatformError: it could not be started.
    """

    def __init__(self, settings: PlatformSettings, airflow: AirflowClient, use_case: str, work: Work) -> None:
        self._airflow = airflow
        start = start_features if work is Work.FEATURES else start_training
        self._run = start(airflow, use_case, force=True)
        self._end = in_background(lambda: _follow(settings, use_case, work, self._run))

    @property
    def ended(self) -> bool:
        return self._end.done()

    def has_begun(self, task: str) -> bool:
        """Whether the task has begun, or the run will not come to it any more. False where Airflow does not answer."""
        if self.ended:
            return True
        try:
            tasks = self._airflow.tasks(self._run.dag_id, self._run.run_id)
        except PlatformError:
            return False
        return any(one.task_id == task and one.state not in _NOT_BEGUN for one in tasks)

    def failure(self) -> str | None:
        """Why the run did not end well; None if it did. Waits for its end."""
        error = self._end.exception()
        return None if error is None else str(error)


def _follow(settings: PlatformSettings, use_case: str, work: Work, run: DagRun) -> None:
    with AirflowClient(settings, patience=AWAY_SECONDS) as airflow:
        if work is Work.FEATURES:
            follow_pipeline(airflow, use_case, run, RUN_WITHIN, _say_nothing)
        else:
            follow_training(airflow, run, RUN_WITHIN, _say_nothing)


def _say_nothing(_line: str) -> None:
    """The table of rounds says what came of a run."""
