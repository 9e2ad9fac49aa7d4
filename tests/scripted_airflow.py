"""An Airflow that answers as the real one does, for those who start pipelines and follow them."""

from typing import Any

import pytest

from tests.scripted_server import ScriptedServer


class ScriptedAirflow:
    """An Airflow whose next runs end at once, with the reports that a test gives them."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        server.on("POST", "/auth/token", {"access_token": "t"})

    def features_end(self, result: str, snapshot: str | None, *, announced: bool) -> None:
        """The features run f1; what it announces starts the training run t1."""
        self._ends("credit_risk_features", "f1", {"result": result, "snapshot": snapshot})
        self._tasks("credit_risk_features", "f1", announce_snapshot="success" if announced else "skipped")
        started = {"dag_id": "credit_risk_training", "run_id": "t1"}
        event = {"name": "features://credit_risk", "extra": {}, "created_dagruns": [started]}
        self._server.on("GET", "/api/v2/assets/events", {"asset_events": [event] if announced else []})

    def training_ends(self, result: str, model_version: str | None, verdict: dict[str, Any] | None) -> None:
        """The training run t1."""
        self._ends("credit_risk_training", "t1", {"result": result, "model_version": model_version})
        self._tasks("credit_risk_training", "t1")
        if verdict is not None:
            self._returns("credit_risk_training", "t1", "train_candidates", verdict)

    def conf(self, dag_id: str) -> Any:
        """What its last run was started with."""
        return self._server.requests("POST", f"/api/v2/dags/{dag_id}/dagRuns")[-1].body["conf"]

    def _ends(self, dag_id: str, run_id: str, report: dict[str, Any]) -> None:
        dag = f"/api/v2/dags/{dag_id}"
        run = {"dag_id": dag_id, "dag_run_id": run_id, "state": "success"}
        self._server.on("GET", dag, {})
        self._server.on("POST", f"{dag}/dagRuns", run)
        self._server.on("GET", f"{dag}/dagRuns/{run_id}", run)
        self._returns(dag_id, run_id, "report_result", report)

    def _tasks(self, dag_id: str, run_id: str, **states: str) -> None:
        found = [{"task_id": name, "state": state, "try_number": 1, "end_date": None} for name, state in states.items()]
        self._server.on("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", {"task_instances": found})

    def _returns(self, dag_id: str, run_id: str, task: str, value: dict[str, Any]) -> None:
        place = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task}/xcomEntries/return_value"
        self._server.on("GET", place, {"value": value})


@pytest.fixture
def airflow(server: ScriptedServer) -> ScriptedAirflow:
    return ScriptedAirflow(server)
