"""When a platform is well again: by its watcher, which has to have looked since, and by its services."""

import datetime as dt
import signal
from collections.abc import Collection, Sequence

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.services.health import HealthReport, ServiceHealth, Standstill, watch_folder, write_report
from mlops_platform.settings import PlatformSettings
from stack.chaos.health import ailing, deadline, unwell
from stack.chaos.processes import RunningProcess

THEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
LATER = THEN + dt.timedelta(seconds=1)


def service(name: str, *, usable: bool) -> ServiceHealth:
    return ServiceHealth(name=name, usable=usable, seconds=12, was_usable=True)


def test_what_the_watcher_saw_since_then_counts(settings: PlatformSettings) -> None:
    stands = [Standstill(subject=f"run {seconds}", what="does not start", seconds=seconds) for seconds in (89, 91)]
    services = (service("serving", usable=True), service("mlflow", usable=False))
    write_report(settings, HealthReport(at=LATER, services=services, standstills=tuple(stands)))
    assert ailing(settings, THEN) == ["mlflow is not usable for 12 s", "run 91 does not start"]


def test_a_watcher_that_has_not_looked_since_tells_nothing(settings: PlatformSettings) -> None:
    never = ["watcher has not looked since 03:04:05 UTC"]
    assert ailing(settings, THEN) == never
    write_report(settings, HealthReport(at=THEN, services=(service("serving", usable=True),)))
    assert ailing(settings, THEN) == never
    write_report(settings, HealthReport(at=LATER, services=(service("serving", usable=True),)))
    assert ailing(settings, THEN) == []


def test_a_report_that_cannot_be_read_is_not_well(settings: PlatformSettings) -> None:
    (watch_folder(settings)).mkdir(parents=True)
    (watch_folder(settings) / "health.json").write_text("half", encoding="utf-8")
    (found,) = ailing(settings, THEN)
    assert "cannot be read" in found


def test_the_deadline_is_the_longest_of_all_services(settings: PlatformSettings) -> None:
    assert deadline(settings) == 600


class OneService:
    """Processes of one service, which is usable as it is told."""

    def __init__(self, running: Sequence[RunningProcess] | None, *, usable: bool) -> None:
        self._running = running
        self._usable = usable

    def services(self) -> tuple[str, ...]:
        return ("serving",)

    def of(self, service: str) -> Sequence[RunningProcess]:
        if self._running is None:
            raise PlatformError("nobody can tell", remedy="wait")
        return self._running

    def send(self, process: RunningProcess, signum: signal.Signals) -> None:
        raise AssertionError("nothing is to be done to it")

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        return True

    def is_usable(self, service: str, since: dt.datetime) -> bool:
        return self._usable and since == THEN


LEADER = RunningProcess("serving", 7, 1.0, True, "python -m serving")
CHILD = RunningProcess("serving", 8, 1.0, False, "python -m serving")


@pytest.mark.parametrize(
    ("running", "usable", "expected"),
    [
        ([LEADER, CHILD], True, False),
        ([LEADER, CHILD], False, True),
        # the worker goes on for a moment after its server
        ([CHILD], True, True),
        ([], True, True),
        (None, True, True),
    ],
)
def test_a_service_is_well_with_a_process_of_its_own_that_is_usable(
    running: list[RunningProcess] | None, usable: bool, expected: bool
) -> None:
    assert unwell(OneService(running, usable=usable), "serving", THEN) is expected
