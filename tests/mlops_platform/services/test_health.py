"""The report of the watcher: written and read back, and what becomes of one that cannot be read."""

import datetime as dt
from pathlib import Path

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.services.health import (
    HealthReport,
    Repair,
    RunStatus,
    ServiceHealth,
    Standstill,
    UseCaseStatus,
    read_report,
    write_report,
)
from mlops_platform.settings import PlatformSettings

AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RUN = RunStatus("credit_risk_training", "t1", "success", AT, "rejected: version 4")
REPORT = HealthReport(
    at=AT,
    services=(ServiceHealth(name="mlflow", usable=True, seconds=9.5, was_usable=True),),
    standstills=(Standstill(subject="a task", what="is queued", seconds=12.0),),
    repairs=(Repair(at=AT, service="serving", why="it was not usable for 96 s"),),
    use_cases=(UseCaseStatus("credit_risk", 2, "s2", 20, 7, AT, None, (RUN,)),),
)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return PlatformSettings(_env_file=None, state_dir=tmp_path / "var")


def test_it_is_read_as_it_was_written(settings: PlatformSettings) -> None:
    assert read_report(settings) is None
    write_report(settings, REPORT)
    assert read_report(settings) == REPORT
    assert [path.name for path in (settings.state_dir / "watch").iterdir()] == ["health.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2, "at": "2026-01-02T03:04:05Z"}'])
def test_a_report_of_another_kind_is_said_with_its_remedy(settings: PlatformSettings, content: str) -> None:
    path = settings.state_dir / "watch" / "health.json"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError) as raised:
        read_report(settings)
    assert str(raised.value) == (
        f"what the watcher wrote to {path} cannot be read (it is no report of the format 1). "
        "Remedy: start the platform with ./restart.sh: its watcher writes the file anew"
    )


def test_the_watcher_is_away_when_its_report_is_old() -> None:
    assert not REPORT.watcher_is_away(AT + dt.timedelta(seconds=30))
    assert REPORT.watcher_is_away(AT + dt.timedelta(seconds=31))


def test_a_service_that_is_not_watched_is_not_usable() -> None:
    assert (REPORT.usable("mlflow"), REPORT.usable("serving")) == (True, False)
