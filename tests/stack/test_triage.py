"""What the watcher makes of what it saw, look by look, without a clock."""

import datetime as dt

import pytest

from mlops_platform.services.health import HealthReport, Repair
from mlops_platform.services.table import API_SERVER, SCHEDULER, Service
from stack.triage import REPAIRS_KEPT, Seen, after_repairs, next_report, overdue

START = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
TABLE = (
    Service("hive-server", (), None, asked_through=("hive-metastore",)),
    Service("hive-metastore", (), None),
    Service(API_SERVER, (), None),
    Service(SCHEDULER, (), None, asked_through=(API_SERVER,)),
)
WELL = {service.name: True for service in TABLE}
TASK = {"a: compute of run 1": "is queued"}


def after(
    seconds: int,
    down: tuple[str, ...] = (),
    standing_still: dict[str, str] | None = None,
    before: HealthReport | None = None,
    step: float = 3.0,
) -> HealthReport:
    """The report after looking for so many seconds at the same, in steps."""
    seen = Seen({**WELL, **dict.fromkeys(down, False)}, standing_still or {}, ())
    report = before or next_report(None, Seen(WELL, {}, ()), TABLE, START, step)
    for _ in range(int(seconds / step)):
        report = next_report(report, seen, TABLE, report.at + dt.timedelta(seconds=step), step)
    return report


def test_a_service_that_was_usable_is_restarted_when_it_has_not_been_for_a_while() -> None:
    assert overdue(after(300, ("hive-metastore",)), TABLE) == {}
    assert overdue(after(309, ("hive-metastore",)), TABLE) == {"hive-metastore": "it was not usable for 306 s"}


def test_a_first_start_has_the_time_of_its_deadline() -> None:
    never = next_report(None, Seen({**WELL, SCHEDULER: False}, {}, ()), TABLE, START, 3)
    assert overdue(after(600, (SCHEDULER,), before=never), TABLE) == {}
    assert list(overdue(after(606, (SCHEDULER,), before=never), TABLE)) == [SCHEDULER]


@pytest.mark.parametrize(
    ("down", "mended"),
    [
        (("hive-server", "hive-metastore"), ["hive-metastore"]),
        ((API_SERVER, SCHEDULER), [API_SERVER]),
        (("hive-server",), ["hive-server"]),
    ],
)
def test_what_cannot_be_asked_is_not_blamed(down: tuple[str, ...], mended: list[str]) -> None:
    assert list(overdue(after(400, down), TABLE)) == mended


def test_a_task_that_does_not_begin_restarts_the_scheduler_within_a_minute() -> None:
    assert overdue(after(45, standing_still=TASK), TABLE) == {}
    assert overdue(after(51, standing_still=TASK), TABLE) == {SCHEDULER: "a: compute of run 1 is queued for 48 s"}


def test_tasks_that_come_and_go_are_no_standstill() -> None:
    report = None
    for number in range(30):
        report = after(9, standing_still={f"task {number}": "is queued"}, before=report)
    assert report is not None
    assert overdue(report, TABLE) == {}


@pytest.mark.parametrize("away", [API_SERVER, SCHEDULER])
def test_while_airflow_is_away_nothing_can_begin(away: str) -> None:
    report = after(60, (away,), standing_still=TASK)
    assert report.standstills == ()
    assert SCHEDULER not in overdue(after(30, standing_still=TASK, before=report), TABLE)


def test_time_that_nobody_watched_does_not_count() -> None:
    asleep = next_report(
        after(6, ("hive-metastore",)),
        Seen({**WELL, "hive-metastore": False}, {}, ()),
        TABLE,
        START + dt.timedelta(hours=9),
        9 * 3600.0,
    )
    assert overdue(asleep, TABLE) == {}


def test_each_repair_doubles_the_patience_and_an_hour_without_ends_that() -> None:
    down = ("hive-metastore",)
    report = after(309, down)
    once = after_repairs(report, overdue(report, TABLE))
    assert once.repairs == (Repair(at=report.at, service=down[0], why="it was not usable for 306 s"),)
    assert overdue(once, TABLE) == {}
    assert overdue(after(600, down, before=once), TABLE) == {}
    assert list(overdue(after(606, down, before=once), TABLE)) == list(down)
    an_hour_later = once.model_copy(update={"at": once.at + dt.timedelta(hours=1)})
    assert list(overdue(after(309, down, before=an_hour_later), TABLE)) == list(down)


def test_after_the_scheduler_was_restarted_all_tasks_begin_to_wait_anew() -> None:
    report = after(51, standing_still=TASK)
    mended = after_repairs(report, overdue(report, TABLE))
    assert mended.standstills == ()
    assert overdue(after(90, standing_still=TASK, before=mended), TABLE) == {}
    assert list(overdue(after(99, standing_still=TASK, before=mended), TABLE)) == [SCHEDULER]


def test_the_record_of_repairs_has_an_end() -> None:
    report = after(3)
    for number in range(REPAIRS_KEPT + 5):
        report = after_repairs(report, {"hive-server": str(number)})
    assert [repair.why for repair in report.repairs] == [str(number) for number in range(5, REPAIRS_KEPT + 5)]
