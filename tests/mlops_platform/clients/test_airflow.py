import contextlib
import datetime as dt
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from mlops_platform.clients.airflow import AirflowClient, AirflowError, Approval, RunFailed
from mlops_platform.settings import PlatformSettings
from tests.scripted_server import ScriptedServer

DAG = "/api/v2/dags/credit_risk_features"
RUN = f"{DAG}/dagRuns/manual__1%2B00"


def run(state: str, **more: Any) -> dict[str, Any]:
    return {"dag_id": "credit_risk_features", "dag_run_id": "manual__1+00", "state": state, **more}


def task(task_id: str, state: str | None, attempt: int = 1, end: str | None = None) -> dict[str, Any]:
    return {"task_id": task_id, "state": state, "try_number": attempt, "end_date": end}


@pytest.fixture
def airflow(server: ScriptedServer, settings: PlatformSettings) -> AirflowClient:
    server.on("POST", "/auth/token", {"access_token": "t1"}, {"access_token": "t2"}, status=201)
    return AirflowClient(settings, poll_seconds=0.0)


def test_a_run_is_triggered_with_its_params_as_the_admin(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("POST", f"{DAG}/dagRuns", run("queued"))
    started = airflow.trigger("credit_risk_features", {"dataset_version": 3})
    assert (started.run_id, started.state, started.ended) == ("manual__1+00", "queued", False)
    login, triggered = server.asked
    assert login.body == {"username": "admin", "password": "secret"}
    assert triggered.body == {"logical_date": None, "conf": {"dataset_version": 3}}
    assert triggered.authorization == "Bearer t1"


def test_an_expired_token_is_renewed_once(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", RUN, (401, {"detail": "expired"}), run("running"))
    assert airflow.run("credit_risk_features", "manual__1+00").state == "running"
    assert [asked.authorization for asked in server.requests("GET", RUN)] == ["Bearer t1", "Bearer t2"]


class Away:
    """An Airflow that breaks off, or refuses, so many requests of one method before it answers again."""

    def __init__(
        self, airflow: AirflowClient, monkeypatch: pytest.MonkeyPatch, error: type[httpx.TransportError]
    ) -> None:
        self.left = 0
        real = airflow._http.request

        def request(method: str, url: str, **more: Any) -> httpx.Response:
            if self.left:
                self.left -= 1
                raise error("gone", request=httpx.Request(method, f"http://airflow{url}"))
            return real(method, url, **more)

        monkeypatch.setattr(airflow._http, "request", request)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadError, httpx.ReadTimeout])
def test_an_airflow_that_is_restarted_is_waited_for_and_that_is_said(
    server: ScriptedServer,
    settings: PlatformSettings,
    monkeypatch: pytest.MonkeyPatch,
    error: type[httpx.TransportError],
) -> None:
    server.on("POST", "/auth/token", {"access_token": "t1"})
    server.on("GET", RUN, run("running"), run("success"))
    server.on("GET", f"{RUN}/taskInstances", {"task_instances": []})
    told: list[str] = []
    with AirflowClient(settings, poll_seconds=0.0, patience=60, progress=told.append) as airflow:
        away = Away(airflow, monkeypatch, error)
        started = airflow.run("credit_risk_features", "manual__1+00")
        away.left = 5
        assert airflow.wait(started, timeout=60, progress=told.append).state == "success"
    assert told == [f"Airflow does not answer at {settings.airflow_url} (gone): waiting for it, 60 s at most"]


def test_an_airflow_that_stays_away_is_an_error_after_the_patience(
    server: ScriptedServer, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("POST", "/auth/token", {"access_token": "t1"})
    server.on("GET", RUN, run("running"))
    with AirflowClient(settings, poll_seconds=0.0, patience=0.05) as airflow:
        away = Away(airflow, monkeypatch, httpx.ConnectError)
        airflow.run("credit_risk_features", "manual__1+00")
        away.left = 1_000_000
        with pytest.raises(AirflowError, match=r"Airflow does not answer at .* \(gone\)"):
            airflow.run("credit_risk_features", "manual__1+00")


def test_an_airflow_that_never_answered_is_not_waited_for(
    settings: PlatformSettings, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("it waits"))
    nobody = settings.model_copy(update={"airflow_port": unused_port})
    with AirflowClient(nobody, patience=60) as airflow, pytest.raises(AirflowError, match="does not answer"):
        airflow.run("credit_risk_features", "manual__1+00")


@pytest.mark.parametrize(("error", "started"), [(httpx.ConnectError, 1), (httpx.ReadError, 0)])
def test_a_run_is_never_triggered_twice(
    server: ScriptedServer,
    settings: PlatformSettings,
    monkeypatch: pytest.MonkeyPatch,
    error: type[httpx.TransportError],
    started: int,
) -> None:
    server.on("POST", "/auth/token", {"access_token": "t1"})
    server.on("GET", DAG, {})
    server.on("POST", f"{DAG}/dagRuns", run("queued"))
    with AirflowClient(settings, poll_seconds=0.0, patience=60) as airflow:
        away = Away(airflow, monkeypatch, error)
        assert airflow.has_dag("credit_risk_features")
        away.left = 1
        with contextlib.nullcontext() if started else pytest.raises(AirflowError, match="does not answer"):
            airflow.trigger("credit_risk_features", {})
    assert len(server.requests("POST", f"{DAG}/dagRuns")) == started


def test_old_runs_are_all_that_ended_but_the_last_ones(airflow: AirflowClient, server: ScriptedServer) -> None:
    runs = [run("success") | {"dag_run_id": f"r{number}"} for number in range(101)]
    server.on("GET", f"{DAG}/dagRuns", {"dag_runs": runs[100:]}, {"dag_runs": runs[:100]}, {"dag_runs": runs[100:]})
    before = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    found = airflow.ended_runs("credit_risk_features", before, keep=1)
    assert [one.run_id for one in found] == [f"r{number}" for number in range(100)]
    latest, first, second = (parse_qs(asked.query) for asked in server.requests("GET", f"{DAG}/dagRuns"))
    assert (latest["limit"], latest["order_by"]) == (["1"], ["-run_after"])
    asked = {"run_after_lt": [before.isoformat()], "state": ["success", "failed"], "order_by": ["run_after"]}
    assert first == {**asked, "limit": ["100"], "offset": ["0"]}
    assert second == {**asked, "limit": ["100"], "offset": ["100"]}


def test_dags_whose_file_is_gone_are_known_as_well(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", "/api/v2/dags", {"dags": [{"dag_id": "a"}, {"dag_id": "gone"}]})
    assert airflow.dags() == ["a", "gone"]
    assert parse_qs(server.asked[-1].query)["exclude_stale"] == ["false"]


@pytest.mark.parametrize(("status", "fails"), [(204, False), (404, False), (409, True)])
def test_a_run_is_removed_or_was_removed(
    airflow: AirflowClient, server: ScriptedServer, status: int, fails: bool
) -> None:
    server.on("GET", RUN, run("success"))
    server.on("DELETE", RUN, {"detail": "it is running"}, status=status)
    ended = airflow.run("credit_risk_features", "manual__1+00")
    with pytest.raises(AirflowError, match="409") if fails else contextlib.nullcontext():
        airflow.delete_run(ended)
    assert len(server.requests("DELETE", RUN)) == 1


def test_waiting_tells_of_each_task_once_and_ends_with_success(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", RUN, run("queued"), *[run("running")] * 3, run("success"))
    tasks = f"{RUN}/taskInstances"
    server.on(
        "GET",
        tasks,
        {"task_instances": [task("compute_features", None)]},
        {"task_instances": [task("compute_features", "up_for_retry", 1, "2026-01-02T03:04:05Z")]},
        {"task_instances": [task("compute_features", "running", 2)]},
        {"task_instances": [task("compute_features", "success", 2, "2026-01-02T03:05:05Z")]},
    )
    told: list[str] = []
    started = airflow.run("credit_risk_features", "manual__1+00")
    ended = airflow.wait(started, timeout=60, progress=told.append)
    assert ended.state == "success"
    assert told == [
        "credit_risk_features: compute_features up for retry",
        "credit_risk_features: compute_features running (attempt 2)",
        "credit_risk_features: compute_features success (attempt 2)",
    ]


def test_a_failed_run_names_its_task_and_shows_the_end_of_its_log(
    airflow: AirflowClient, server: ScriptedServer, settings: PlatformSettings
) -> None:
    server.on("GET", RUN, run("failed"))
    tasks = [
        task("announce_snapshot", "upstream_failed", 0, "2026-01-02T03:04:04Z"),
        task("compute_features", "failed", 2, "2026-01-02T03:04:05Z"),
    ]
    server.on("GET", f"{RUN}/taskInstances", {"task_instances": tasks})
    error = {"exc_type": "AirflowException", "exc_value": "two\nlines"}
    log = [
        {"event": "::group::Log message source details"},
        {"event": "/var/log/attempt=2.log"},
        {"event": "::endgroup::"},
        {"event": "Task failed with exception", "error_detail": [error]},
    ]
    server.on("GET", f"{RUN}/taskInstances/compute_features/logs/2", {"content": log})
    with pytest.raises(RunFailed) as caught:
        airflow.wait(airflow.run("credit_risk_features", "manual__1+00"), timeout=60, progress=print)
    assert str(caught.value) == (
        "the task compute_features of credit_risk_features failed in the run manual__1+00. The end of its log:\n"
        "    Task failed with exception\n    AirflowException: two\n    lines. Remedy: mend what the log names and run "
        f"it again; the whole log is at {settings.airflow_url}/dags/credit_risk_features/runs/manual__1%2B00/tasks/"
        "compute_features"
    )


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", RUN, run("failed"))
    server.on("GET", f"{RUN}/taskInstances", {"task_instances": [task("compute_features", "failed")]})
    with pytest.raises(RunFailed, match=r"The end of its log:\n    \(Airflow answered 404 to GET"):
        airflow.wait(airflow.run("credit_risk_features", "manual__1+00"), timeout=60, progress=print)


def test_a_run_that_takes_too_long_names_what_has_not_ended(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", RUN, run("running"))
    tasks = [task("resolve_dataset", "success", 1, "2026-01-02T03:04:05Z"), task("compute_features", "running")]
    server.on("GET", f"{RUN}/taskInstances", {"task_instances": [*tasks, task("announce_snapshot", None, 0)]})
    with pytest.raises(RunFailed) as caught:
        airflow.wait(airflow.run("credit_risk_features", "manual__1+00"), timeout=-1, progress=print)
    assert caught.value.what == (
        "the run manual__1+00 of credit_risk_features is still running after -1 s; "
        "not ended: compute_features (running), announce_snapshot (not yet scheduled)"
    )


def test_a_wrong_password_says_where_the_right_one_is(server: ScriptedServer, settings: PlatformSettings) -> None:
    server.on("POST", "/auth/token", {"detail": "Invalid credentials"}, status=401)
    with pytest.raises(AirflowError) as caught:
        AirflowClient(settings).runs("credit_risk_features")
    assert str(caught.value) == (
        "Airflow refuses the login of admin. "
        "Remedy: restart with ./restart.sh, which gives Airflow the password that stands in .env"
    )
    assert "secret" not in str(caught.value)


def test_without_a_password_nothing_is_asked(server: ScriptedServer, settings: PlatformSettings) -> None:
    with pytest.raises(AirflowError, match="no password for Airflow is set"):
        AirflowClient(settings.model_copy(update={"airflow_admin_password": None})).import_errors()
    assert server.asked == []


def test_a_refusal_is_quoted(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("POST", f"{DAG}/dagRuns", {"detail": "Invalid input for param dry_run:\n'x' is no boolean"}, status=400)
    with pytest.raises(AirflowError) as caught:
        airflow.trigger("credit_risk_features", {"dry_run": "x"})
    assert caught.value.what == (
        f"Airflow answered 400 to POST {DAG}/dagRuns: Invalid input for param dry_run: 'x' is no boolean"
    )


def test_another_program_on_the_port_is_recognised(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", "/api/v2/importErrors", "<html>hello</html>")
    with pytest.raises(AirflowError, match="did not answer in JSON"):
        airflow.import_errors()


def test_no_answer_says_how_to_start(settings: PlatformSettings, unused_port: int) -> None:
    gone = settings.model_copy(update={"airflow_port": unused_port})
    with pytest.raises(AirflowError, match=r"^Airflow does not answer at http://127.0.0.1:\d+ \("):
        AirflowClient(gone).import_errors()


def test_asset_events_name_the_runs_that_they_went_into(airflow: AirflowClient, server: ScriptedServer) -> None:
    runs = [{"dag_id": "credit_risk_training", "run_id": "asset__1", "state": "queued"}]
    event = {"name": "features://credit_risk", "extra": {"snapshot": "s1"}, "created_dagruns": runs}
    server.on("GET", "/api/v2/assets/events", {"asset_events": [event]})
    (found,) = airflow.asset_events("credit_risk_features", "manual__1+00")
    assert (found.name, found.extra, found.runs) == (
        "features://credit_risk",
        {"snapshot": "s1"},
        (("credit_risk_training", "asset__1"),),
    )
    assert server.asked[-1].query == "source_dag_id=credit_risk_features&source_run_id=manual__1%2B00"


def test_asset_events_of_a_run_that_is_still_queued_are_none_yet(
    airflow: AirflowClient, server: ScriptedServer
) -> None:
    server.on("GET", "/api/v2/assets/events", {"detail": "Internal Server Error"}, status=500)
    assert airflow.asset_events("credit_risk_features", "manual__1+00") == []


def test_a_task_without_a_result_returned_none(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", f"{RUN}/taskInstances/a/xcomEntries/return_value", {"value": {"accepted": True}})
    assert airflow.result("credit_risk_features", "manual__1+00", "a") == {"accepted": True}
    assert airflow.result("credit_risk_features", "manual__1+00", "b") is None


def test_an_approval_is_found_and_answered(airflow: AirflowClient, server: ScriptedServer) -> None:
    where = {"dag_id": "credit_risk_features", "dag_run_id": "manual__1+00", "task_id": "approve", "map_index": -1}
    detail = {"task_instance": where, "subject": "Promote?", "created_at": "2026-01-02T03:04:05Z"}
    server.on("GET", f"{DAG}/dagRuns/~/hitlDetails", {"hitl_details": [detail]})
    server.on("PATCH", f"{RUN}/taskInstances/approve/-1/hitlDetails", {})
    (pending,) = airflow.pending_approvals("credit_risk_features")
    assert isinstance(pending, Approval)
    assert (pending.run_id, pending.subject) == ("manual__1+00", "Promote?")
    airflow.respond(pending, approve=False)
    assert server.asked[-1].body == {"chosen_options": ["Reject"]}
