"""``python -m stack.watcher``: asks every service how it is and Airflow what does not move, and mends what is stuck.

What it sees it writes as one report, which is also its memory: a watcher that was killed goes on where it was.
"""

import argparse
import concurrent.futures
import contextlib
import datetime as dt
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.console import complain, say
from mlops_platform.errors import PlatformError
from mlops_platform.services.health import HealthReport, read_report, write_report
from mlops_platform.services.status import use_case_statuses
from mlops_platform.services.table import is_usable, watched_services
from mlops_platform.settings import PlatformSettings, load_settings
from stack.repair import ContainerRepairer, Repairer
from stack.triage import Seen, after_repairs, next_report, overdue

ROUND_SECONDS = 3.0
PROBE_SECONDS = 5.0
"""A probe of HiveServer2 opens a session: not more often than that."""
STANDSTILLS_SECONDS = 5.0
USE_CASES_SECONDS = 15.0
FIRST_LOOK_WITHIN = 6.0
ANSWER_WITHIN = 15.0
"""Seconds after which whoever has not answered counts as one who does not."""

Answer = TypeVar("Answer")


class Inquiry(Generic[Answer]):
    """A question that is asked again and again beside the watcher's rounds; while it hangs it is not asked anew."""

    def __init__(self, threads: ThreadPoolExecutor, ask: Callable[[], Answer], every: float = 0.0) -> None:
        self._threads = threads
        self._ask = ask
        self._every = every
        self._asked_at = time.monotonic()
        self._under_way: Future[Answer] | None = threads.submit(ask)
        self._answer: Answer | None = None

    def wait(self, seconds: float) -> None:
        """Until the question is answered, or for so many seconds."""
        if self._under_way is not None:
            concurrent.futures.wait([self._under_way], seconds)

    def latest(self) -> Answer | None:
        """The last answer; None where there is none, or where the question hangs."""
        if self._under_way is not None and self._under_way.done():
            error = self._under_way.exception()
            if error is not None:
                complain(f"error: {error!r}")
            self._answer = None if error is not None else self._under_way.result()
            self._under_way = None
        if self._under_way is None:
            if time.monotonic() - self._asked_at >= self._every:
                self._asked_at = time.monotonic()
                self._under_way = self._threads.submit(self._ask)
        elif time.monotonic() - self._asked_at > ANSWER_WITHIN:
            self._answer = None
        return self._answer


class Watcher:
    """The rounds of one installation's watcher."""

    def __init__(self, settings: PlatformSettings, repairer: Repairer) -> None:
        self._settings = settings
        self._repairer = repairer
        self._table = watched_services(settings)
        self._report = _last_report(settings)
        self._looked_at = time.monotonic()
        threads = ThreadPoolExecutor(len(self._table) + 2)
        self._probes = {
            one.name: Inquiry(threads, partial(is_usable, one, settings), PROBE_SECONDS) for one in self._table
        }
        airflow = AirflowClient(settings)
        self._still = Inquiry(threads, partial(standing_still, airflow), STANDSTILLS_SECONDS)
        self._use_cases = Inquiry(threads, partial(use_case_statuses, settings, airflow), USE_CASES_SECONDS)
        for probe in self._probes.values():  # the first look shall not find everything down
            probe.wait(FIRST_LOOK_WITHIN - (time.monotonic() - self._looked_at))

    def round(self, now: dt.datetime) -> None:
        """Look at everything once, mend what has to be, and write the report."""
        # first of all: where supervisord is gone, whatever is said before this is an error
        self._repairer.tidy()
        elapsed, self._looked_at = time.monotonic() - self._looked_at, time.monotonic()
        report = next_report(self._report, self._seen(), self._table, now, elapsed)
        repaired = {}
        for service, why in overdue(report, self._table).items():
            if self._repairer.restart(service):
                repaired[service] = why
                say(f"{now:%Y-%m-%d %H:%M:%S} {service} is started anew: {why}")
        self._report = after_repairs(report, repaired)
        write_report(self._settings, self._report)

    def _seen(self) -> Seen:
        return Seen(
            usable={name: bool(probe.latest()) for name, probe in self._probes.items()},
            standing_still=self._still.latest(),
            use_cases=self._use_cases.latest() or (self._report.use_cases if self._report else ()),
        )


def standing_still(airflow: AirflowClient) -> Mapping[str, str] | None:
    """What should begin in Airflow by itself and has not: subject and what. None where Airflow cannot be asked."""
    try:
        tasks, runs = airflow.queued_tasks(), airflow.runs_about_to_start()
    except PlatformError:
        return None
    return {
        **{
            f"{one.dag_id}: {one.task_id} [{one.map_index}] of {one.run_id}, attempt {one.attempt},": "is queued"
            for one in tasks
        },
        **{f"{run.dag_id}: the run {run.run_id}": "does not start" for run in runs},
    }


def _last_report(settings: PlatformSettings) -> HealthReport | None:
    """What the watcher before this one saw, if it was a moment ago; of an older one its repairs alone."""
    with contextlib.suppress(PlatformError):
        report = read_report(settings)
        now = dt.datetime.now(dt.UTC)
        if report is not None and report.watcher_is_away(now):
            return HealthReport(at=report.at, repairs=report.repairs)
        return report
    return None


def _repairer(settings: PlatformSettings) -> Repairer:
    if settings.mode != "local":
        return ContainerRepairer(settings)
    from stack.local_repair import LocalRepairer  # noqa: PLC0415 - a container has no supervisor

    return LocalRepairer(settings)


def main(arguments: list[str]) -> int:
    """Watch until it is ended; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m stack.watcher", description=__doc__)
    parser.add_argument("--workers", type=int, help="Spark workers there should be, where the environment is older")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        if options.workers is not None:
            settings = settings.model_copy(update={"spark_workers": options.workers})
        watcher = Watcher(settings, _repairer(settings))
    except PlatformError as error:
        complain(f"error: {error}")
        return 1
    while True:
        try:
            watcher.round(dt.datetime.now(dt.UTC))
        except OSError as error:  # a full disk, say: what is seen may still be mended
            with contextlib.suppress(OSError):  # supervisord, which reads it, is gone since the round began
                complain(f"error: {error}")
        time.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
