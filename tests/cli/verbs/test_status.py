"""``mlops status``: what the watcher saw, and that it is away."""

import dataclasses
import datetime as dt
import json

import pytest

from cli.verbs.status import status_text
from mlops_platform.services.health import (
    HealthReport,
    RunStatus,
    ServiceHealth,
    Standstill,
    UseCaseStatus,
    write_report,
)
from mlops_platform.settings import PlatformSettings
from tests.cli.conftest import Mlops

AT = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
NOTE = "rejected: version 4\n- roc_auc is too low"
REPORT = HealthReport(
    at=AT,
    services=(
        ServiceHealth(name="mlflow", usable=True, seconds=60, was_usable=True),
        ServiceHealth(name="serving", usable=False, seconds=3, was_usable=True),
    ),
    use_cases=(
        UseCaseStatus(
            "credit_risk", 2, "s2", 20, 7, AT, "3", (RunStatus("credit_risk_training", "t1", "success", AT, NOTE),)
        ),
    ),
)
SERVICES = "service\nmlflow   ready\nserving  DOWN\n"


def test_status_shows_services_and_what_is_published() -> None:
    assert status_text(REPORT, AT) == (
        f"{SERVICES}"
        "\n"
        "credit_risk\n"
        "  dataset    2\n"
        "  snapshot   s2\n"
        "  published  2026-01-02 03:04\n"
        "  rows       20\n"
        "  entities   7\n"
        "  champion   3\n"
        "  last run   credit_risk_training: success, 2026-01-02 03:04 (t1)\n"
        "      rejected: version 4\n"
        "      - roc_auc is too low"
    )


def test_a_champion_without_a_compiled_form_is_said_to_be_slower() -> None:
    slow = dataclasses.replace(REPORT.use_cases[0], not_compiled="metric='canberra' is not implemented", runs=())
    assert status_text(REPORT.model_copy(update={"use_cases": (slow,)}), AT).splitlines()[-2:] == [
        "  champion   3",
        "      run by scikit-learn, slower than a compiled form: metric='canberra' is not implemented",
    ]


def test_what_does_not_move_is_shown_beneath_the_services_and_what_just_began_to_wait_is_not() -> None:
    still = Standstill(subject="credit_risk_features: the run f1", what="does not start", seconds=61)
    moment = Standstill(subject="a task", what="is queued", seconds=60)
    report = REPORT.model_copy(update={"standstills": (still, moment), "use_cases": ()})
    assert status_text(report, AT) == f"{SERVICES}\ncredit_risk_features: the run f1 does not start, for 61 s"


@pytest.mark.parametrize("mode", ["local", "docker"])
def test_a_watcher_that_is_away_is_said_first(
    mlops: Mlops, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("MLOPS_MODE", mode)
    monkeypatch.setenv("PATH", "")  # no container is asked
    write_report(settings, REPORT)
    shown = mlops("status")
    assert (shown.code, shown.out.splitlines()[:3]) == (
        0,
        ["The watcher is away: this is how it was at 2026-01-02 03:04:00 UTC.", "", "service"],
    )
    content = json.loads(mlops("status", "--json").out)
    assert (content["watcher_is_away"], content["services"][1]["usable"]) == (True, False)


def test_a_platform_that_was_never_started(mlops: Mlops) -> None:
    assert mlops("status").err == "error: the platform was never started. Remedy: start it with ./start.sh\n"
