"""Airflow from outside: its REST API, with errors that say which task failed and what its log says."""

import datetime as dt
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings

AWAY_SECONDS = 300.0
"""For how long whoever follows a run waits for an Airflow that is away: any restart of it is over by then."""
_TIMEOUT = 30.0
_POLL_SECONDS = 1.0
_LOG_LINES_SHOWN = 20
_PAGE = 100
_LOGIN = "/auth/token"
_ANY = "~"
"""Stands for every DAG and every run in a path."""
_ENDED = ("success", "failed")
_TASK_FAILURES = ("failed", "upstream_failed")
_TASK_NEWS = ("running", "up_for_retry", "awaiting_input", "deferred", "failed", "skipped", "success")

Progress = Callable[[str], None]


class AirflowError(PlatformError):
    """Airflow cannot be reached, or refuses what it was asked."""

    transient = True


class AirflowRefused(AirflowError):
    """Airflow answered, and will answer the same to whoever asks again."""

    transient = False


class RunFailed(PlatformError):
    """A DAG run ended badly, or not in time."""


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG. ``state`` is queued, running, success or failed; times are None until they have come."""

    dag_id: str
    run_id: str
    state: str
    run_after: dt.datetime | None = None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    note: str | None = None
    conf: Mapping[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.state in _ENDED


@dataclass(frozen=True)
class TaskInstance:
    """One task of a run. ``state`` is None before it is scheduled; ``attempt`` counts from 1."""

    task_id: str
    state: str | None
    attempt: int
    end: dt.datetime | None = None


@dataclass(frozen=True)
class QueuedTask:
    """A task instance that has a slot of its pool and of the executor, and has not begun."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    attempt: int


@dataclass(frozen=True)
class AssetEvent:
    """An update of the asset of this name, and the runs (DAG, run id) that it went into."""

    name: str
    extra: Mapping[str, Any]
    runs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Approval:
    """A task that waits for a person, or has been answered."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    subject: str
    since: dt.datetime


class AirflowClient:
    """Airflow's REST API as the platform's admin. A context manager; logs in when first asked something.

    Args:
        patience: for how many seconds an Airflow that is slow, or answered before, may be away, for instance while it
            is restarted, before that is an error.
        progress: told that it is away.
    """

    def __init__(
        self,
        settings: PlatformSettings,
        *,
        poll_seconds: float = _POLL_SECONDS,
        patience: float = 0.0,
        progress: Progress = lambda _line: None,
    ) -> None:
        self._settings = settings
        self._poll_seconds = poll_seconds
        self._patience = patience
        self._progress = progress
        self._has_answered = False
        self._http = httpx.Client(base_url=settings.airflow_url, timeout=_TIMEOUT, trust_env=False)
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> DagRun:
        """Start a run with these params.

        Raises:
            AirflowError: there is no such DAG, or it does not take these params.
        """
        body = {"logical_date": None, "conf": dict(conf)}
        return _dag_run(self._ask("POST", f"{_dag(dag_id)}/dagRuns", json=body))

    def has_dag(self, dag_id: str) -> bool:
        """Whether Airflow has read the DAG's file."""
        return self._send("GET", _dag(dag_id)).status_code == httpx.codes.OK

    def import_errors(self) -> list[str]:
        """Why DAG files could not be read: ``<file>: <last line of the traceback>``."""
        errors = self._ask("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return _dag_run(self._ask("GET", _run(dag_id, run_id)))

    def runs(self, dag_id: str, *, limit: int = 1, states: Sequence[str] = ()) -> list[DagRun]:
        """The latest runs, the newest first; only those in one of ``states``, if any is named."""
        query = {"limit": limit, "order_by": "-run_after", "state": list(states)}
        return [_dag_run(run) for run in self._ask("GET", f"{_dag(dag_id)}/dagRuns", params=query)["dag_runs"]]

    def dags(self) -> list[str]:
        """The DAGs that Airflow knows, also those whose file is gone."""
        return [dag["dag_id"] for dag in self._pages("/api/v2/dags", "dags", {"exclude_stale": False})]

    def ended_runs(self, dag_id: str, before: dt.datetime, *, keep: int) -> list[DagRun]:
        """The runs that were to start before this and have ended, without the latest ``keep`` of all."""
        kept = {run.run_id for run in self.runs(dag_id, limit=keep)}
        query = {"run_after_lt": before.isoformat(), "state": list(_ENDED), "order_by": "run_after"}
        found = self._pages(f"{_dag(dag_id)}/dagRuns", "dag_runs", query)
        return [run for run in map(_dag_run, found) if run.run_id not in kept]

    def delete_run(self, run: DagRun) -> None:
        """Remove a run that has ended, with its tasks and their results. One that is gone is no error."""
        answer = self._send("DELETE", _run(run.dag_id, run.run_id))
        if answer.status_code not in (httpx.codes.NO_CONTENT, httpx.codes.NOT_FOUND):
            self._content(answer)

    def _pages(self, path: str, key: str, query: Mapping[str, Any]) -> Iterator[Any]:
        for offset in itertools.count(0, _PAGE):
            found = self._ask("GET", path, params={**query, "limit": _PAGE, "offset": offset})[key]
            yield from found
            if len(found) < _PAGE:
                return

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """The run's tasks, in the order in which they ended; those that have not ended come last."""
        found = self._ask("GET", f"{_run(dag_id, run_id)}/taskInstances")["task_instances"]
        tasks = [TaskInstance(one["task_id"], one["state"], one["try_number"], _time(one["end_date"])) for one in found]
        return sorted(tasks, key=lambda task: task.end or dt.datetime.max.replace(tzinfo=dt.UTC))

    def queued_tasks(self) -> list[QueuedTask]:
        """The tasks of any run that are about to begin, at most a hundred."""
        query = {"state": "queued", "limit": _PAGE}
        return [
            QueuedTask(one["dag_id"], one["dag_run_id"], one["task_id"], one["map_index"], one["try_number"])
            for one in self._ask("GET", f"{_run(_ANY, _ANY)}/taskInstances", params=query)["task_instances"]
        ]

    def runs_about_to_start(self) -> list[DagRun]:
        """The queued runs that nothing holds back: their DAG is read and not paused, and no other run of it goes on."""
        going_on = {run.dag_id for run in self.runs(_ANY, limit=_PAGE, states=("running",))}
        queued = self.runs(_ANY, limit=_PAGE, states=("queued",))
        now = dt.datetime.now(dt.UTC)
        waiting = [
            run for run in queued if run.dag_id not in going_on and (run.run_after is None or run.run_after < now)
        ]
        startable = {dag_id: self._starts_runs(dag_id) for dag_id in {run.dag_id for run in waiting}}
        return [run for run in waiting if startable[run.dag_id]]

    def _starts_runs(self, dag_id: str) -> bool:
        dag = self._ask("GET", _dag(dag_id))
        return not dag["is_paused"] and not dag["is_stale"]

    def log(self, dag_id: str, run_id: str, task: TaskInstance) -> list[str]:
        """The lines of the task's latest attempt."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_part(task.task_id)}/logs/{task.attempt}"
        answer = self._ask("GET", path, params={"full_content": True}, headers={"Accept": "application/json"})
        return _log_lines(answer["content"])

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What the task returned (its XCom), None if it returned nothing."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_part(task_id)}/xcomEntries/return_value"
        answer = self._send("GET", path, params={"stringify": False})
        return None if answer.status_code == httpx.codes.NOT_FOUND else self._content(answer)["value"]

    def asset_events(self, dag_id: str, run_id: str) -> list[AssetEvent]:
        """The asset updates that a run made; none yet while a run that one of them started has not begun."""
        query = {"source_dag_id": dag_id, "source_run_id": run_id}
        answer = self._send("GET", "/api/v2/assets/events", params=query)
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            # Airflow 3.3 fails to answer as long as a run that the update created is queued: it has no start date
            return []
        events = self._content(answer)["asset_events"]
        return [
            AssetEvent(
                name=event["name"],
                extra=event["extra"] or {},
                runs=tuple((run["dag_id"], run["run_id"]) for run in event["created_dagruns"]),
            )
            for event in events
        ]

    def write_note(self, dag_id: str, run_id: str, note: str) -> None:
        """Put a note on the run, for whoever looks at it in the UI."""
        self._ask("PATCH", _run(dag_id, run_id), params={"update_mask": "note"}, json={"note": note[:1000]})

    def pending_approvals(self, dag_id: str) -> list[Approval]:
        """Tasks of the DAG's runs that wait for a person, the oldest first."""
        query = {"response_received": False, "state": ["awaiting_input", "deferred"], "order_by": "created_at"}
        details = self._ask("GET", f"{_dag(dag_id)}/dagRuns/~/hitlDetails", params=query)["hitl_details"]
        return [
            Approval(
                dag_id=detail["task_instance"]["dag_id"],
                run_id=detail["task_instance"]["dag_run_id"],
                task_id=detail["task_instance"]["task_id"],
                map_index=detail["task_instance"]["map_index"],
                subject=detail["subject"],
                since=dt.datetime.fromisoformat(detail["created_at"]),
            )
            for detail in details
        ]

    def respond(self, approval: Approval, *, approve: bool) -> None:
        """Answer for the task that waits.

        Raises:
            AirflowError: somebody has answered before.
        """
        task = f"{_run(approval.dag_id, approval.run_id)}/taskInstances/{_part(approval.task_id)}"
        choice = "Approve" if approve else "Reject"
        self._ask("PATCH", f"{task}/{approval.map_index}/hitlDetails", json={"chosen_options": [choice]})

    def wait(self, run: DagRun, *, timeout: float, progress: Progress) -> DagRun:
        """Wait until the run has ended well, telling of each task as it comes along.

        Args:
            timeout: seconds from now.

        Raises:
            RunFailed: a task failed (names it and shows the end of its log), or the time is over (names the tasks
                that have not ended).
        """
        deadline = time.monotonic() + timeout
        told: dict[str, tuple[str, int]] = {}
        while True:
            run = self.run(run.dag_id, run.run_id)
            self._tell(run, told, progress)
            if run.state == "success":
                return run
            if run.state == "failed":
                raise self._failure(run)
            if time.monotonic() > deadline:
                raise self._too_late(run, timeout)
            time.sleep(self._poll_seconds)

    def _tell(self, run: DagRun, told: dict[str, tuple[str, int]], progress: Progress) -> None:
        for task in self.tasks(run.dag_id, run.run_id):
            if task.state in _TASK_NEWS and told.get(task.task_id) != (task.state, task.attempt):
                told[task.task_id] = (task.state, task.attempt)
                again = f" (attempt {task.attempt})" if task.attempt > 1 else ""
                progress(f"{run.dag_id}: {task.task_id} {task.state.replace('_', ' ')}{again}")

    def _failure(self, run: DagRun) -> RunFailed:
        tasks = self.tasks(run.dag_id, run.run_id)
        # a failed task makes those after it `upstream_failed`: the first is the cause
        failed = next((task for state in _TASK_FAILURES for task in tasks if task.state == state), None)
        if failed is None:
            return RunFailed(
                f"the run {run.run_id} of {run.dag_id} failed without a failed task",
                remedy=f"look at {self.run_url(run)}",
            )
        return RunFailed(
            f"the task {failed.task_id} of {run.dag_id} failed in the run {run.run_id}. "
            f"The end of its log:\n{self._end_of_log(run, failed)}",
            remedy=f"mend what the log names and run it again; the whole log is at {self.task_url(run, failed)}",
        )

    def _end_of_log(self, run: DagRun, task: TaskInstance) -> str:
        try:
            lines = self.log(run.dag_id, run.run_id, task)[-_LOG_LINES_SHOWN:]
        except AirflowError as error:
            lines = [f"({error.what})"]
        return "\n".join(f"    {line}" for line in lines or ["(nothing)"])

    def _too_late(self, run: DagRun, timeout: float) -> RunFailed:
        waiting = [
            f"{task.task_id} ({task.state or 'not yet scheduled'})"
            for task in self.tasks(run.dag_id, run.run_id)
            if task.end is None
        ]
        return RunFailed(
            f"the run {run.run_id} of {run.dag_id} is still {run.state} after {timeout:.0f} s; "
            f"not ended: {', '.join(waiting) or 'no task'}",
            remedy=f"it goes on in Airflow: follow it at {self.run_url(run)}",
        )

    def run_url(self, run: DagRun) -> str:
        """The run's page in Airflow."""
        return f"{self._settings.public.airflow_url}/dags/{run.dag_id}/runs/{quote(run.run_id)}"

    def task_url(self, run: DagRun, task: TaskInstance) -> str:
        """The page with the task's log."""
        return f"{self.run_url(run)}/tasks/{task.task_id}"

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        return self._content(self._send(method, path, **request))

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Airflow's answer, whatever its status. One that is slow is waited for, and one that was there before."""
        end, told = time.monotonic() + self._patience, False
        while True:
            try:
                answer = self._send_once(method, path, **request)
                self._has_answered = True
                return answer
            except httpx.HTTPError as error:
                what = f"Airflow does not answer at {self._settings.airflow_url} ({str(error) or type(error).__name__})"
                not_there = isinstance(error, httpx.ConnectError) and not self._has_answered
                if not_there or not _may_be_repeated(error) or time.monotonic() >= end:
                    raise AirflowError(
                        what, remedy="see which services run with `mlops status`; start them with ./start.sh"
                    ) from None
            if not told:
                self._progress(f"{what}: waiting for it, {self._patience:.0f} s at most")
                told = True
            time.sleep(self._poll_seconds)

    def _send_once(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        for fresh in (False, True):
            if self._token is None or fresh:
                self._token = self._log_in()
            token = {"Authorization": f"Bearer {self._token}"}
            answer = self._http.request(method, path, headers={**token, **(headers or {})}, **request)
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                break
        return answer

    def _log_in(self) -> str:
        password = self._settings.airflow_admin_password
        if password is None:
            raise AirflowRefused(
                "no password for Airflow is set",
                remedy="set MLOPS_AIRFLOW_ADMIN_PASSWORD in .env, or run ./start.sh, which makes one",
            )
        body = {"username": self._settings.airflow_admin_user, "password": password.get_secret_value()}
        answer = self._http.post(_LOGIN, json=body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise AirflowRefused(
                f"Airflow refuses the login of {self._settings.airflow_admin_user}",
                remedy="restart with ./restart.sh, which gives Airflow the password that stands in .env",
            )
        token: str = self._content(answer)["access_token"]
        return token

    def _content(self, answer: httpx.Response) -> Any:
        if answer.is_success:
            try:
                return answer.json()
            except ValueError:
                raise AirflowError(
                    f"{answer.url} did not answer in JSON",
                    remedy="is another program using Airflow's port? set MLOPS_AIRFLOW_PORT in .env",
                ) from None
        mine = answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR
        raise (AirflowRefused if mine else AirflowError)(
            f"Airflow answered {answer.status_code} to {answer.request.method} {answer.url.path}: {_detail(answer)}",
            remedy="ask for something else, as the answer says" if mine else "see the log of airflow-api-server",
        )


def _may_be_repeated(error: httpx.HTTPError) -> bool:
    """Whether the request that ended so did not come to Airflow, or does nothing twice."""
    asked = error.request
    return isinstance(error, httpx.ConnectError) or asked.method in ("GET", "DELETE") or asked.url.path == _LOGIN


def _part(text: str) -> str:
    """One segment of a URL's path: run ids contain ``+`` and ``:``."""
    return quote(text, safe="")


def _dag(dag_id: str) -> str:
    return f"/api/v2/dags/{_part(dag_id)}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{_part(run_id)}"


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def _dag_run(content: Mapping[str, Any]) -> DagRun:
    return DagRun(
        dag_id=content["dag_id"],
        run_id=content["dag_run_id"],
        state=content["state"],
        run_after=_time(content.get("run_after")),
        start=_time(content.get("start_date")),
        end=_time(content.get("end_date")),
        note=content.get("note"),
        conf=content.get("conf"),
    )


def _log_lines(content: Sequence[Any]) -> list[str]:
    """The messages of a structured log and the exceptions in it, without Airflow's note of where the log came from."""
    lines: list[str] = []
    in_sources = False
    for record in content:
        event = str(record.get("event", ""))
        if event.startswith("::"):
            in_sources = event == "::group::Log message source details"
        elif not in_sources:
            lines += event.splitlines()
        for cause in record.get("error_detail") or ():
            lines += f"{cause['exc_type']}: {cause['exc_value']}".splitlines()
    return lines


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = answer.text
    return " ".join(str(detail).split())[:500] or "(no detail)"
