"""From services that run to a champion, against services that answer as the real ones do."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_platform.errors import PlatformError, UnknownUseCase
from mlops_platform.settings import PlatformSettings
from stack import first_run
from stack.bare.arguments import SourceFile
from stack.first_run import Report, run_first_pipeline, run_other_pipelines
from tests.scripted_airflow import ScriptedAirflow
from tests.scripted_server import ScriptedServer

MODEL = "/api/2.0/mlflow/registered-models/get"
NO_CHAMPION = {"registered_model": {"name": "credit_risk"}}
CHAMPION = {"registered_model": {"name": "credit_risk", "aliases": [{"alias": "champion", "version": "4"}]}}
VERDICT = {"use_case": "credit_risk", "snapshot": "s1", "model_version": "4", "family": "forest", "accepted": True}


@pytest.fixture
def with_data(settings: PlatformSettings) -> PlatformSettings:
    (settings.lake_root / "raw" / "credit_risk").mkdir(parents=True)
    return settings


def test_a_start_that_ended_before_there_was_a_champion_goes_on_from_its_snapshot(
    with_data: PlatformSettings, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    server.on("GET", MODEL, NO_CHAMPION, CHAMPION)
    airflow.features_end("unchanged", "s1", announced=False)
    airflow.training_ends("promoted", "4", VERDICT)
    run_first_pipeline(with_data, 100, {}, lambda _: None)
    assert airflow.conf("credit_risk_training") == {"snapshot": None, "require_approval": False, "force": False}


def test_where_there_is_a_champion_nothing_is_run(
    with_data: PlatformSettings, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    server.on("GET", MODEL, CHAMPION)
    run_first_pipeline(with_data, 100, {}, lambda _: None)
    assert not [asked for asked in server.asked if asked.method == "POST"]


def test_a_rejected_candidate_is_shown_and_no_champion_is_an_error(
    with_data: PlatformSettings, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    server.on("GET", MODEL, NO_CHAMPION)
    airflow.features_end("published", "s1", announced=True)
    airflow.training_ends("rejected", "4", VERDICT | {"accepted": False, "failed_rules": ["roc_auc is too low"]})
    told: list[str] = []
    with pytest.raises(PlatformError, match="credit_risk has no champion after its pipeline"):
        run_first_pipeline(with_data, 100, {}, told.append)
    assert told[-1] == (
        "rejected: version 4 (forest) of credit_risk, trained on s1; the champion stays\n- roc_auc is too low"
    )


def test_the_others_come_up_side_by_side_and_one_that_fails_keeps_none_from_it(
    with_data: PlatformSettings, server: ScriptedServer, airflow: ScriptedAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_run, "has_champion", lambda _, name: name == "champion_already")
    monkeypatch.setattr(first_run, "generators", lambda: ("credit_risk", "champion_already", "one", "two"))
    monkeypatch.setattr(first_run, "get_use_case", lambda name: SimpleNamespace(name=name))
    provided: list[tuple[str, ...]] = []
    monkeypatch.setattr(first_run, "_mlops", lambda _, *arguments: provided.append(arguments))
    together = threading.Barrier(3)

    def run(_: PlatformSettings, use_case: str, report: Report) -> None:
        together.wait(timeout=60)
        report(use_case)
        if use_case == "two":
            raise PlatformError("two failed", remedy="mend two")

    monkeypatch.setattr(first_run, "_reach_champion", run)
    told: list[str] = []
    files = {"three": [SourceFile("a", Path("/a.csv"))]}
    with pytest.raises(PlatformError) as caught:
        run_other_pipelines(with_data, [], files, told.append)
    assert str(caught.value) == "two failed. Remedy: mend two"
    assert sorted(told) == ["one", "three", "two"]
    assert provided == [
        ("data", "generate", "one"),
        ("data", "generate", "two"),
        ("data", "add", "three", "a:/a.csv"),
    ]


def test_named_use_cases_come_up_alone_and_an_unknown_one_is_said(
    with_data: PlatformSettings, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    run_other_pipelines(with_data, ["credit_risk"], {}, lambda _: None)
    with pytest.raises(UnknownUseCase, match=r"there is no use case 'titanik'\. Remedy: did you mean 'titanic'"):
        run_other_pipelines(with_data, ["titanik"], {}, lambda _: None)
    assert server.asked == []
