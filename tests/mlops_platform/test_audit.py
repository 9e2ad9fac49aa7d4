"""The record of who did what: there before an act, whole after it, and readable whatever was killed."""

import datetime as dt
import json
from pathlib import Path

import pytest

from mlops_platform.audit import Act, AuditLog, End, NotRecorded
from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(Lake(tmp_path))


def act(action: str, at: str = "2026-01-02T03:04:05+00:00") -> Act:
    return Act(who="ann", source="here", action=action, at=dt.datetime.fromisoformat(at))


def test_an_act_is_on_record_while_it_goes_on_and_when_it_is_done(log: AuditLog, tmp_path: Path) -> None:
    with log.recording(act("promote")) as outcome:
        assert [(entry.action, entry.result) for entry in log.entries()] == [("promote", "unknown")]
        outcome["champion"] = "2"
    (entry,) = log.entries()
    assert (entry.result, entry.outcome, entry.reason) == ("done", {"champion": "2"}, None)
    for file in tmp_path.glob("audit/2026-01-02/*/*.json"):
        (line,) = file.read_text().splitlines()
        json.loads(line)


@pytest.mark.parametrize(
    ("error", "result", "reason"),
    [
        (PlatformError("it was rejected", remedy="promote another"), "refused", "it was rejected"),
        (ValueError("what a library says may hold a secret"), "failed", "ValueError"),
    ],
)
def test_an_act_that_fails_is_on_record_with_the_reason(
    log: AuditLog, error: Exception, result: str, reason: str
) -> None:
    with pytest.raises(type(error)), log.recording(act("promote")):
        raise error
    (entry,) = log.entries()
    assert (entry.result, entry.reason) == (result, reason)


def test_acts_are_in_order_over_days_and_zones_and_since_a_time(log: AuditLog) -> None:
    times = {
        "second": "2026-01-02T03:00:00+00:00",
        "first": "2026-01-02T01:00:00+05:00",
        "third": "2026-01-02T03:00:01+00:00",
    }
    for name, at in times.items():
        log.begin(act(name, at))
    assert [entry.action for entry in log.entries()] == ["first", "second", "third"]
    for since in ("2026-01-02T03:00:00+00:00", "2026-01-01T22:00:00-05:00"):
        assert [entry.action for entry in log.entries(dt.datetime.fromisoformat(since))] == ["second", "third"]


def test_what_cannot_be_recorded_is_not_done(log: AuditLog, tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("no folder")
    done = False
    with pytest.raises(NotRecorded, match="so nothing was done"), log.recording(act("promote")):
        done = True
    assert not done


def test_an_end_that_cannot_be_recorded_undoes_nothing(log: AuditLog, caplog: pytest.LogCaptureFixture) -> None:
    one = act("promote")
    log.begin(one)
    log.end(one, End(result="done"))
    log.end(one, End(result="failed"))  # it is written once
    assert [entry.result for entry in log.entries()] == ["done"]
    assert "the end of an act not recorded" in caplog.text


@pytest.mark.parametrize("damage", [b"", b'{"at": "2026', b"{}"])
def test_a_damaged_record_hides_no_other(
    log: AuditLog, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    for name in ("one", "other"):
        log.begin(act(name))
    (victim, _) = sorted(tmp_path.glob("audit/*/*/begun.json"), key=lambda path: "one" not in path.read_text())
    victim.write_bytes(damage)
    assert [entry.action for entry in log.entries()] == ["other"]
    assert "a record cannot be read" in caplog.text
