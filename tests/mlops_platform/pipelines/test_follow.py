"""The pipeline against an Airflow that answers as the real one did; the real one is asked in tests/e2e."""

from typing import Any

import pytest

from mlops_platform.clients.airflow import AirflowClient, AirflowError, RunFailed
from mlops_platform.pipelines import follow as pipeline
from mlops_platform.pipelines.follow import (
    PipelineResult,
    answer_approval,
    follow_pipeline,
    start_features,
    start_training,
)
from mlops_platform.pipelines.results import TrainingOutcome
from mlops_platform.settings import PlatformSettings
from tests.scripted_server import ScriptedServer

FEATURES, TRAINING = "/api/v2/dags/credit_risk_features", "/api/v2/dags/credit_risk_training"
RUN, FOLLOWING = f"{FEATURES}/dagRuns/f1", f"{TRAINING}/dagRuns/t1"
EVENTS = "/api/v2/assets/events"
REPORT = "taskInstances/report_result/xcomEntries/return_value"
APPROVALS = f"{TRAINING}/dagRuns/~/hitlDetails"
VERDICT = {
    "use_case": "credit_risk",
    "snapshot": "s1",
    "model_version": "4",
    "family": "random_forest",
    "accepted": False,
    "failed_rules": ["roc_auc 0.5000 is below the minimum 0.5500"],
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr("mlops_platform.clients.airflow._POLL_SECONDS", 0.0)


@pytest.fixture
def airflow(server: ScriptedServer) -> ScriptedServer:
    server.on("POST", "/auth/token", {"access_token": "t"})
    for dag in (FEATURES, TRAINING):
        server.on("GET", dag, {})
    server.on("POST", f"{FEATURES}/dagRuns", run("credit_risk_features", "f1", "queued"))
    server.on("GET", RUN, run("credit_risk_features", "f1", "success"))
    server.on("GET", FOLLOWING, run("credit_risk_training", "t1", "success"))
    server.on("GET", f"{RUN}/taskInstances", tasks(compute_features="success", announce_snapshot="success"))
    server.on("GET", f"{FOLLOWING}/taskInstances", tasks(judge="success", promote_champion="skipped"))
    server.on("GET", f"{FOLLOWING}/taskInstances/train_candidates/xcomEntries/return_value", {"value": VERDICT})
    server.on("GET", f"{RUN}/{REPORT}", {"value": {"result": "published", "snapshot": "s1"}})
    server.on("GET", f"{FOLLOWING}/{REPORT}", {"value": {"result": "rejected", "model_version": "4"}})
    started = {"dag_id": "credit_risk_training", "run_id": "t1"}
    server.on("GET", EVENTS, events(), events(), events(started))
    return server


def run(dag_id: str, run_id: str, state: str, **more: Any) -> dict[str, Any]:
    return {"dag_id": dag_id, "dag_run_id": run_id, "state": state, **more}


def tasks(**states: str) -> dict[str, Any]:
    found = [{"task_id": name, "state": state, "try_number": 1, "end_date": None} for name, state in states.items()]
    return {"task_instances": found}


def events(*runs: dict[str, Any]) -> dict[str, Any]:
    extra = {"snapshot": "s1", "dataset_version": 1}
    return {"asset_events": [{"name": "features://credit_risk", "extra": extra, "created_dagruns": list(runs)}]}


def approval(created_at: str) -> dict[str, Any]:
    where = {"dag_id": "credit_risk_training", "dag_run_id": "t1", "task_id": "approve", "map_index": -1}
    return {"hitl_details": [{"task_instance": where, "subject": "Promote?", "created_at": created_at}]}


def run_pipeline(settings: PlatformSettings, *, dataset_version: int = 0, dry_run: bool = False) -> PipelineResult:
    with AirflowClient(settings) as client:
        started = start_features(client, "credit_risk", dataset_version=dataset_version, dry_run=dry_run)
        return follow_pipeline(client, "credit_risk", started, 60, lambda _: None)


def test_the_training_that_a_snapshot_started_is_followed(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    result = run_pipeline(settings, dataset_version=2)
    (triggered,) = airflow.requests("POST", f"{FEATURES}/dagRuns")
    assert triggered.body == {"logical_date": None, "conf": {"dataset_version": 2, "dry_run": False, "force": False}}
    assert {asked.query for asked in airflow.requests("GET", EVENTS)} == {
        "source_dag_id=credit_risk_features&source_run_id=f1"
    }
    assert result.features.snapshot == "s1"
    assert result.training is not None
    assert result.training.run.run_id == "t1"
    assert (result.training.outcome, result.training.model_version) == (TrainingOutcome.REJECTED, "4")
    assert str(result.training.verdict) == (
        "rejected: version 4 (random_forest) of credit_risk, trained on s1; the champion stays\n"
        "- roc_auc 0.5000 is below the minimum 0.5500"
    )


def test_a_dry_run_has_no_snapshot_and_no_training(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("GET", f"{RUN}/taskInstances", tasks(compute_features="success", announce_snapshot="skipped"))
    airflow.on("GET", f"{RUN}/{REPORT}", {"value": {"result": "dry_run", "snapshot": None}})
    result = run_pipeline(settings, dry_run=True)
    assert (result.features.snapshot, result.features.unchanged, result.training) == (None, False, None)


def test_where_nothing_is_new_there_is_no_training_to_follow(
    airflow: ScriptedServer, settings: PlatformSettings
) -> None:
    airflow.on("GET", f"{RUN}/taskInstances", tasks(compute_features="skipped", announce_snapshot="skipped"))
    airflow.on("GET", f"{RUN}/{REPORT}", {"value": {"result": "unchanged", "snapshot": "s1"}})
    result = run_pipeline(settings)
    assert (result.features.snapshot, result.features.unchanged, result.training) == ("s1", True, None)
    assert airflow.requests("GET", EVENTS) == []


def test_a_run_without_a_report_is_named(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("GET", f"{RUN}/{REPORT}", {"detail": "not found"}, status=404)
    with pytest.raises(RunFailed) as caught:
        run_pipeline(settings)
    assert str(caught.value) == (
        "the run f1 of credit_risk_features ended without a result of its task report_result. Remedy: somebody may "
        f"have set the run's state by hand: look at {settings.airflow_url}/dags/credit_risk_features/runs/f1"
    )


def test_without_a_dataset_the_remedy_is_to_add_one(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("GET", f"{RUN}/{REPORT}", {"value": {"result": "no_data", "snapshot": None}})
    with pytest.raises(RunFailed) as caught:
        run_pipeline(settings)
    assert str(caught.value) == (
        "the run f1 of credit_risk_features had nothing to do: credit_risk has no dataset yet. "
        "Remedy: add one with `mlops data add credit_risk FILE`"
    )


def test_a_snapshot_that_starts_no_training_is_an_error(
    airflow: ScriptedServer, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "FOLLOW_DEADLINE", 0.0)
    airflow.on("GET", EVENTS, events({"dag_id": "another_dag", "run_id": "x"}))
    with pytest.raises(RunFailed, match="unpause credit_risk_training in Airflow if it is paused"):
        run_pipeline(settings)


def test_a_dag_that_airflow_could_not_read_is_named_with_the_reason(
    airflow: ScriptedServer, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "DAG_DEADLINE", 0.0)
    airflow.on("GET", FEATURES, {"detail": "not found"}, status=404)
    trace = "Traceback\n  File x\nSyntaxError: invalid syntax\n"
    airflow.on("GET", "/api/v2/importErrors", {"import_errors": [{"filename": "features.py", "stack_trace": trace}]})
    with pytest.raises(AirflowError) as caught:
        run_pipeline(settings)
    assert caught.value.what == (
        "Airflow has no DAG credit_risk_features; files it could not read: features.py: SyntaxError: invalid syntax"
    )


def test_training_by_itself_takes_a_snapshot(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("POST", f"{TRAINING}/dagRuns", run("credit_risk_training", "t1", "queued"))
    with AirflowClient(settings) as client:
        start_training(client, "credit_risk", snapshot="s1", require_approval=True, force=True)
    assert airflow.asked[-1].body["conf"] == {"snapshot": "s1", "require_approval": True, "force": True}


def test_an_answer_that_airflow_lost_is_given_again(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    """Seen on Airflow 3.3: an answer in the second in which the task begins to wait makes it ask once more."""
    first, second = approval("2026-01-02T03:04:05Z"), approval("2026-01-02T03:05:05Z")
    nothing: dict[str, Any] = {"hitl_details": []}
    airflow.on("GET", APPROVALS, first, nothing, second, nothing)
    airflow.on(
        "GET",
        f"{FOLLOWING}/taskInstances",
        *[tasks(approve="up_for_retry"), tasks(approve="running"), tasks(approve="success")],
    )
    airflow.on("PATCH", f"{FOLLOWING}/taskInstances/approve/-1/hitlDetails", {})
    with AirflowClient(settings) as client:
        answered = answer_approval(client, "credit_risk", approve=True, timeout=60, progress=lambda _: None)
    assert answered.run_id == "t1"
    answers = airflow.requests("PATCH", f"{FOLLOWING}/taskInstances/approve/-1/hitlDetails")
    assert [asked.body for asked in answers] == [{"chosen_options": ["Approve"]}] * 2


def test_a_run_that_still_trains_is_waited_for(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("GET", APPROVALS, {"hitl_details": []}, approval("2026-01-02T03:04:05Z"), {"hitl_details": []})
    training = run("credit_risk_training", "t1", "running", conf={"require_approval": True})
    airflow.on("GET", f"{TRAINING}/dagRuns", {"dag_runs": [training]})
    airflow.on("GET", f"{FOLLOWING}/taskInstances", tasks(approve="success"))
    airflow.on("PATCH", f"{FOLLOWING}/taskInstances/approve/-1/hitlDetails", {})
    told: list[str] = []
    with AirflowClient(settings) as client:
        answer_approval(client, "credit_risk", approve=False, timeout=60, progress=told.append)
    assert told == ["t1 has not come to its approval yet: waiting for it"]


def test_where_nobody_asks_there_is_nothing_to_approve(airflow: ScriptedServer, settings: PlatformSettings) -> None:
    airflow.on("GET", APPROVALS, {"hitl_details": []})
    airflow.on("GET", f"{TRAINING}/dagRuns", {"dag_runs": [run("credit_risk_training", "t1", "running", conf={})]})
    with AirflowClient(settings) as client, pytest.raises(RunFailed, match="no run of credit_risk_training waits"):
        answer_approval(client, "credit_risk", approve=True, timeout=60, progress=lambda _: None)
