"""A run that is followed while something is killed, beside an Airflow that answers as it is told."""

from collections.abc import Iterator
from typing import Any

import pytest

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos.work import RunUnderWay, Work
from tests.processes import wait_until
from tests.scripted_airflow import ScriptedAirflow
from tests.scripted_server import ScriptedServer

DAG = "/api/v2/dags/credit_risk_training"
RUN = f"{DAG}/dagRuns/t1"


@pytest.fixture
def client(settings: PlatformSettings) -> Iterator[AirflowClient]:
    with AirflowClient(settings) as client:
        yield client


def training(state: str) -> dict[str, Any]:
    return {"dag_id": "credit_risk_training", "dag_run_id": "t1", "state": state}


def tasks(**states: str | None) -> dict[str, Any]:
    found = [{"task_id": name, "state": state, "try_number": 1, "end_date": None} for name, state in states.items()]
    return {"task_instances": found}


def test_the_work_is_forced_and_its_end_is_awaited(
    settings: PlatformSettings, client: AirflowClient, airflow: ScriptedAirflow
) -> None:
    airflow.features_end("published", "s1", announced=False)
    run = RunUnderWay(settings, client, "credit_risk", Work.FEATURES)
    assert run.failure() is None
    assert run.ended
    assert airflow.conf("credit_risk_features")["force"] is True


def test_a_step_has_begun_when_its_task_has_and_when_the_run_is_over(
    settings: PlatformSettings, client: AirflowClient, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    airflow.training_ends("unchanged", "3", None)
    server.on("GET", RUN, training("running"))
    run = RunUnderWay(settings, client, "credit_risk", Work.TRAINING)
    for state in (None, "scheduled", "queued"):
        server.on("GET", f"{RUN}/taskInstances", tasks(resolve_snapshot="success", train_candidates=state))
        assert not run.has_begun("train_candidates")
    server.on("GET", f"{RUN}/taskInstances", {"detail": "the database is away"}, status=500)
    assert not run.has_begun("train_candidates")
    for state in ("running", "up_for_retry", "skipped"):
        server.on("GET", f"{RUN}/taskInstances", tasks(train_candidates=state))
        assert run.has_begun("train_candidates")
    assert not run.has_begun("promote_champion")
    server.on("GET", RUN, training("success"))
    wait_until(lambda: run.ended, "the run is over", 10)
    assert run.has_begun("promote_champion")


def test_a_run_that_failed_says_why(
    settings: PlatformSettings, client: AirflowClient, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    airflow.training_ends("unchanged", "3", None)
    server.on("GET", RUN, training("failed"))
    server.on("GET", f"{RUN}/taskInstances", tasks())
    run = RunUnderWay(settings, client, "credit_risk", Work.TRAINING)
    assert str(run.failure()).startswith("the run t1 of credit_risk_training failed without a failed task")


def test_a_run_that_cannot_be_started_is_an_error(
    settings: PlatformSettings, client: AirflowClient, server: ScriptedServer, airflow: ScriptedAirflow
) -> None:
    airflow.training_ends("unchanged", "3", None)
    server.on("POST", f"{DAG}/dagRuns", {"detail": "no"}, status=500)
    with pytest.raises(PlatformError, match="Airflow answered 500"):
        RunUnderWay(settings, client, "credit_risk", Work.TRAINING)
