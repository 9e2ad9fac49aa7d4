"""Runs the platform's executor on stand-ins for tasks, kills their processes, and writes what it reports as JSON.

Arguments: the folder of the DAGs, the file to write.
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

sys.path.append(str(Path(sys.argv[1]).parent / "plugins"))

from airflow.executors.base_executor import BaseExecutor
from process_per_task import ProcessPerTaskExecutor  # type: ignore[import-not-found]

DEADLINE = 60


@dataclass(frozen=True)
class Task:
    """What the executor knows of a task."""

    key: str
    running_state: None = None
    success_state: str = "success"
    failure_state: str = "failed"

    @property
    def ti(self) -> SimpleNamespace:
        return SimpleNamespace(priority_weight=1)

    @property
    def display_name(self) -> str:
        return self.key


def run(task: Task, **_: object) -> int:
    if task.key == "raises":
        raise RuntimeError("no such task")
    while task.key.startswith("killed"):
        time.sleep(60)
    return 0


def reported(executor: Any, *keys: str) -> dict[str, list[Any]]:
    """What the executor has reported of these tasks, once it has of all."""
    deadline = time.monotonic() + DEADLINE
    while not set(keys) <= executor.event_buffer.keys():
        assert time.monotonic() < deadline, executor.event_buffer
        executor.heartbeat()
        time.sleep(0.02)
    return {key: list(event) for key, event in executor.get_event_buffer().items()}


def main() -> None:
    BaseExecutor.run_workload = staticmethod(run)  # type: ignore[method-assign, assignment]
    executor = ProcessPerTaskExecutor(parallelism=2)
    executor.start()
    this = psutil.Process()
    idle = [child.pid for child in this.children()]
    executor.queued_tasks.update({key: Task(key) for key in ("killed 1", "killed 2", "after")})
    executor.heartbeat()
    running, children = sorted(executor.running), [child.pid for child in this.children()]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    killed = reported(executor, "killed 1", "killed 2", "after")
    executor.queued_tasks.update({key: Task(key) for key in ("well", "raises")})
    later = reported(executor, "well", "raises")
    executor.end()
    report = {
        "idle": idle,
        "running": running,
        "processes": len(children),
        "reported": {**killed, **later},
        "left": [list(executor.running), list(executor.queued_tasks), [child.pid for child in this.children()]],
    }
    Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
