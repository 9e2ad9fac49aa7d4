"""Airflow's executor here: a process is made for each task, and ends with it.

Airflow's own LocalExecutor keeps idle workers, which wait inside the lock of one queue. The kernel may kill one there
(out of memory, say), and the lock is never given back: from then on every task stays ``queued`` while all health checks
are green. Here nobody waits for work and nothing is shared: a process has its task from the start, and its exit status
is all that is reported.
"""

import multiprocessing
import signal
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from typing import Any

from airflow.executors.base_executor import BaseExecutor, ExecutorConf, get_execution_api_server_url
from airflow.executors.workloads import ExecutorWorkload


class ProcessPerTaskExecutor(BaseExecutor):
    """Runs at most ``parallelism`` tasks of this machine at once, each in a process of its own."""

    is_local = True
    serve_logs = True
    supports_callbacks = True
    supports_connection_test = True

    def start(self) -> None:
        self._processes: list[tuple[ExecutorWorkload, BaseProcess]] = []

    def _process_workloads(self, workload_items: Sequence[ExecutorWorkload]) -> None:
        for workload in workload_items:
            process = multiprocessing.Process(target=_run, args=(workload, self.conf))
            process.start()
            self._processes.append((workload, process))
            self.running.add(workload.key)
            queues: list[dict[Any, Any]] = [self.queued_tasks, self.queued_callbacks, self.queued_connection_tests]
            for queue in queues:
                queue.pop(workload.key, None)
            if workload.running_state is not None:
                self.change_state(workload.key, workload.running_state, remove_running=False)

    def sync(self) -> None:
        for workload, process in self._processes:
            if process.exitcode == 0:
                self.change_state(workload.key, workload.success_state)
            elif process.exitcode is not None:
                self.change_state(workload.key, workload.failure_state, f"its process ended with {process.exitcode}")
        self._processes = [one for one in self._processes if one[1].exitcode is None]

    def end(self) -> None:
        """Waits for the tasks that run."""
        for _, process in self._processes:
            process.join()
        self.sync()

    def terminate(self) -> None:
        """A task that runs is left to its end, as Airflow's LocalExecutor does."""


def _run(workload: ExecutorWorkload, conf: ExecutorConf) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # for the scheduler, which waits for its tasks
    BaseExecutor.run_workload(
        workload,
        server=get_execution_api_server_url(conf),
        proctitle=f"airflow task: {workload.display_name}",
        subprocess_logs_to_stdout=True,
    )
