"""The kinds of processes that a platform has: each service, what services start, and the processes of tasks."""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from mlops_platform.services.table import SCHEDULER
from stack.chaos.processes import TRAINING_RUN, RunningProcess
from stack.chaos.work import Work

SERVING = "serving"


@dataclass(frozen=True)
class Target:
    """A kind of process: of those of ``services`` the ones that lead them, or, where ``command`` is given, the others
    whose command line it is found in.

    ``comes_and_goes``: there is one only now and then, during ``work`` where that is given. ``holds_answers``: its end
    may lose the records of answers that are not on disk yet.
    """

    name: str
    services: tuple[str, ...]
    command: str | None = None
    work: Work | None = None
    comes_and_goes: bool = False
    holds_answers: bool = False

    def is_one(self, process: RunningProcess) -> bool:
        """Whether this process of the service is of the kind."""
        if self.command is None:
            return process.leads
        return not process.leads and re.search(self.command, process.command) is not None


def targets(services: Iterable[str], *, containers: bool) -> tuple[Target, ...]:
    """Every kind that an installation with these services has, each once, in an order that stays the same.

    On macOS Airflow gives the processes of tasks no titles, so nothing tells them from the scheduler.
    """
    names = sorted(services)
    workers = tuple(name for name in names if name.startswith("spark-worker"))
    tasks = (
        Target("task supervisor", (SCHEDULER,), r"airflow task: ", comes_and_goes=True),
        Target("task", (SCHEDULER,), r"airflow worker -- ", comes_and_goes=True),
    )
    return (
        *(Target(name, (name,), holds_answers=name == SERVING) for name in names),
        Target("prediction worker", (SERVING,), r"^granian |-m serving( |$)|spawn_main", holds_answers=True),
        Target("log publisher", (SERVING,), r"-m serving\.log\.publish", comes_and_goes=True),
        *(tasks if containers or sys.platform == "linux" else ()),
        Target("Spark driver", (SCHEDULER,), r"SparkSubmit .*feature_job\.py", Work.FEATURES, comes_and_goes=True),
        Target("Spark executor", workers, r"CoarseGrainedExecutorBackend", Work.FEATURES, comes_and_goes=True),
        Target(
            "training run",
            (TRAINING_RUN if containers else SCHEDULER,),
            None if containers else r"-m training train",
            Work.TRAINING,
            comes_and_goes=True,
        ),
    )
