"""The watcher beside a real supervisor and a scripted Airflow, and what it shares with containers."""

import datetime as dt
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.services import table as services_table
from mlops_platform.services.health import HealthReport, Repair, ServiceHealth, read_report, write_report
from mlops_platform.services.table import Service, watched_services
from mlops_platform.settings import PlatformSettings
from stack import local_repair, revival, supervision, triage, watcher
from stack.local_repair import LocalRepairer
from stack.repair import ContainerRepairer
from stack.startup import stop_services
from stack.supervision import Supervisor
from stack.watcher import Inquiry, Watcher, standing_still
from tests.processes import wait_until
from tests.scripted_server import ScriptedServer
from tests.stack.supervised import launched

TASKS = "/api/v2/dags/~/dagRuns/~/taskInstances"
RUNS = "/api/v2/dags/~/dagRuns"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Remembered:
    """A repairer that keeps what it was asked for."""

    def __init__(self, *, possible: bool = True) -> None:
        self.asked: list[str] = []
        self._possible = possible

    def tidy(self) -> None:
        """Leaves everything as it is."""

    def restart(self, service: str) -> bool:
        self.asked.append(service)
        return self._possible


def look_until(watching: Watcher, repairer: Remembered) -> None:
    """Look again and again until something was to be mended."""

    def asked() -> list[str]:
        watching.round(now())
        return repairer.asked

    wait_until(asked, "something is mended", 10)


@pytest.fixture
def up(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Two services that answer their probes as this says; a look is enough for a service to be overdue."""
    answers = {"one": True, "other": True}

    def probe(name: str) -> services_table.Probe:
        return lambda _settings, _since: answers[name]

    table = tuple(Service(name, (f"{name}.sh",), probe(name)) for name in answers)
    monkeypatch.setattr(services_table, "services", lambda _settings: table)
    monkeypatch.setattr(supervision, "services", lambda _settings: table)
    monkeypatch.setattr(watcher, "use_case_statuses", lambda _settings, _airflow: ())
    monkeypatch.setattr(triage, "STUCK_SECONDS", -1.0)
    monkeypatch.setattr(watcher, "PROBE_SECONDS", 0.0)
    return answers


def test_a_service_that_answers_no_more_is_mended_and_the_report_says_so(
    settings: PlatformSettings, up: dict[str, bool]
) -> None:
    repairer = Remembered()
    watching = Watcher(settings, repairer)
    watching.round(now())
    assert repairer.asked == []
    up["other"] = False
    look_until(watching, repairer)
    report = read_report(settings)
    assert report is not None
    assert [(one.name, one.usable, one.was_usable) for one in report.services] == [
        ("one", True, True),
        ("other", False, True),
    ]
    assert [repair.service for repair in report.repairs] == ["other"]


def test_what_could_not_be_mended_is_no_repair(settings: PlatformSettings, up: dict[str, bool]) -> None:
    watching = Watcher(settings, repairer := Remembered(possible=False))
    up["other"] = False
    look_until(watching, repairer)
    report = read_report(settings)
    assert report is not None
    assert report.repairs == ()


@pytest.mark.usefixtures("up")
def test_a_watcher_goes_on_where_the_one_before_was_killed(settings: PlatformSettings) -> None:
    seen = ServiceHealth(name="one", usable=True, seconds=500, was_usable=True)
    repair = Repair(at=now(), service="one", why="it was not usable for 96 s")
    write_report(settings, HealthReport(at=now(), services=(seen,), repairs=(repair,)))
    Watcher(settings, Remembered()).round(now())
    report = read_report(settings)
    assert report is not None
    assert report.services[0].seconds >= 500
    assert report.repairs == (repair,)


@pytest.mark.usefixtures("up")
def test_of_a_report_of_yesterday_only_the_repairs_count(settings: PlatformSettings) -> None:
    yesterday = now() - dt.timedelta(days=1)
    seen = ServiceHealth(name="one", usable=False, seconds=500, was_usable=True)
    repair = Repair(at=yesterday, service="one", why="it was not usable for 96 s")
    write_report(settings, HealthReport(at=yesterday, services=(seen,), repairs=(repair,)))
    Watcher(settings, Remembered()).round(now())
    report = read_report(settings)
    assert report is not None
    assert report.services[0].seconds < 100
    assert report.repairs == (repair,)


def test_a_question_that_hangs_has_no_answer_and_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    release, asked = threading.Event(), []

    def ask() -> bool:
        asked.append(1)
        return len(asked) == 1 or release.wait()

    with ThreadPoolExecutor(2) as threads:
        inquiry = Inquiry(threads, ask)
        inquiry.wait(10)
        assert inquiry.latest() is True
        wait_until(lambda: len(asked) == 2, "it is asked again", 10)
        assert inquiry.latest() is True
        monkeypatch.setattr(watcher, "ANSWER_WITHIN", 0.0)
        assert inquiry.latest() is None
        assert len(asked) == 2
        release.set()
        wait_until(inquiry.latest, "it answers again", 10)


def test_an_error_is_no_answer_and_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def ask() -> bool:
        raise KeyError("state")

    with ThreadPoolExecutor(1) as threads:
        inquiry = Inquiry(threads, ask, every=60)
        inquiry.wait(10)
        assert inquiry.latest() is None
    assert capsys.readouterr().err == "error: KeyError('state')\n"


def pid_of(supervisor: Supervisor, service: str) -> int:
    pid: int = wait_until(lambda: supervisor.process(service).pid, "it runs", 10)
    return pid


def test_a_stuck_process_is_killed_with_its_children_and_started_again(
    settings: PlatformSettings, up: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, supervisor = launched(settings, "one")
    try:
        supervisor.start("one")
        before = pid_of(supervisor, "one")
        (child,) = wait_until(psutil.Process(before).children, "it has its child", 10)
        os.kill(before, signal.SIGSTOP)  # deaf to everything but SIGKILL
        assert LocalRepairer(here).restart("one")
        again = wait_until(lambda: supervisor.process("one").pid not in (before, None), "it is started again", 10)
        assert again
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child is gone", 10)
        (settings.state_dir / "other.sh").symlink_to(settings.state_dir / "one.sh")
        assert LocalRepairer(here).restart("other"), "nobody has started it"
        assert pid_of(supervisor, "other")
    finally:
        stop_services(here)
    assert not LocalRepairer(here).restart("one"), "supervisord is away"


def test_what_a_killed_service_left_behind_is_ended(settings: PlatformSettings, up: dict[str, bool]) -> None:
    here, supervisor = launched(settings, *up)
    try:
        leaders = {}
        for name in up:
            supervisor.start(name)
            leaders[name] = psutil.Process(pid_of(supervisor, name))
        children = {name: wait_until(leader.children, "its child", 10)[0] for name, leader in leaders.items()}
        repairer = LocalRepairer(here)
        repairer.tidy()
        leaders["one"].kill()
        wait_until(lambda: supervisor.process("one").pid not in (leaders["one"].pid, None), "it is started again", 10)
        assert children["one"].is_running()
        repairer.tidy()
        wait_until(lambda: not children["one"].is_running(), "the leftover is gone", 10)
        assert children["other"].is_running()
        assert psutil.Process(supervisor.process("one").pid).is_running()
    finally:
        stop_services(here)


ASKED = """
import os, sys, time
from pathlib import Path
given = sorted(name for name in os.environ if name.startswith(("SUPERVISOR_", "MLOPS_SPARK_W")))
Path("asked").open("a").write(f"{sys.argv[1:]} {given}\\n")
time.sleep(600)
"""


def has_content(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content


def revivals() -> list[psutil.Process]:
    """This process's children that revive: it may have started others, for other tests."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "revive" in child.cmdline()]


def test_supervisord_is_revived_by_one_child_at_a_time(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings.model_copy(update={"project_root": settings.state_dir})
    (settings.state_dir / "log").mkdir(parents=True)
    (settings.state_dir / "stack").mkdir()
    (settings.state_dir / "stack" / "__init__.py").touch()
    (settings.state_dir / "stack" / "__main__.py").write_text(ASKED, encoding="utf-8")
    monkeypatch.setenv("SUPERVISOR_PROCESS_NAME", "watcher")
    for stream in ("stdout", "stderr"):  # put back afterwards
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    monkeypatch.setattr(revival, "PAUSE_SECONDS", 0.0)
    repairer, asked = LocalRepairer(here), settings.state_dir / "asked"
    line = f"['revive', '{os.getpid()}'] ['MLOPS_SPARK_WORKERS']\n"
    for times in (1, 2):
        repairer.tidy()
        wait_until(partial(has_content, asked, line * times), "it is asked for", 10)
        (child,) = revivals()
        repairer.tidy()
        assert revivals() == [child], "it is at it"
        child.kill()
        psutil.wait_procs([child], 10)


def test_a_supervisor_that_is_stuck_does_not_keep_the_watcher_from_looking(
    settings: PlatformSettings, up: dict[str, bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_repair, "ANSWERS_WITHIN", 0.1)
    here, supervisor = launched(settings)
    pid = supervisor.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        LocalRepairer(here).tidy()
        assert not LocalRepairer(here).restart("one")
    finally:
        os.kill(pid, signal.SIGCONT)
        stop_services(here)
    assert "supervisord does not answer" in capsys.readouterr().err


def test_a_container_is_told_by_a_new_content_each_time(settings: PlatformSettings) -> None:
    request = settings.state_dir / "watch" / "restart" / "airflow-scheduler"
    assert ContainerRepairer(settings).restart("airflow-scheduler")
    first = request.read_text(encoding="utf-8")
    assert ContainerRepairer(settings).restart("airflow-scheduler")
    assert request.read_text(encoding="utf-8") not in ("", first)


def task(state: str = "queued") -> dict[str, object]:
    return {
        "dag_id": "a",
        "dag_run_id": "r1",
        "task_id": "compute",
        "map_index": -1,
        "try_number": 2,
        "state": state,
    }


def run(dag_id: str, state: str, run_after: str = "2026-01-02T00:00:00Z") -> dict[str, object]:
    return {"dag_id": dag_id, "dag_run_id": f"{dag_id}1", "state": state, "run_after": run_after}


@pytest.fixture
def airflow(server: ScriptedServer, settings: PlatformSettings) -> Iterator[AirflowClient]:
    server.on("POST", "/auth/token", {"access_token": "t"})
    server.on("GET", TASKS, {"task_instances": []})
    server.on("GET", RUNS, {"dag_runs": []})
    for dag_id, paused, stale in (("a", False, False), ("paused", True, False), ("stale", False, True)):
        server.on("GET", f"/api/v2/dags/{dag_id}", {"is_paused": paused, "is_stale": stale})
    with AirflowClient(settings) as client:
        yield client


def test_tasks_that_are_queued_are_waited_for(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", TASKS, {"task_instances": [task()]})
    assert standing_still(airflow) == {"a: compute [-1] of r1, attempt 2,": "is queued"}
    assert server.requests("GET", TASKS)[0].query == "state=queued&limit=100"


def test_a_run_that_something_holds_back_is_not_waited_for(airflow: AirflowClient, server: ScriptedServer) -> None:
    going_on = {"dag_runs": [run("busy", "running")]}
    future = run("a", "queued", "2999-01-01T00:00:00Z")
    held = [run("busy", "queued"), run("paused", "queued"), run("stale", "queued"), future]
    server.on("GET", RUNS, going_on, {"dag_runs": held})
    assert standing_still(airflow) == {}
    server.on("GET", RUNS, going_on, {"dag_runs": [*held, run("a", "queued")]})
    assert standing_still(airflow) == {"a: the run a1": "does not start"}


def test_an_airflow_that_cannot_be_asked_is_no_standstill(airflow: AirflowClient, server: ScriptedServer) -> None:
    server.on("GET", TASKS, {"detail": "no"}, status=500)
    assert standing_still(airflow) is None


def test_containers_of_one_service_are_watched_as_one(settings: PlatformSettings) -> None:
    local = settings.model_copy(update={"spark_workers": 2})
    inside = local.model_copy(update={"mode": "container"})
    names, together = ([one.name for one in watched_services(here)] for here in (local, inside))
    workers = ["spark-worker-1", "spark-worker-2"]
    assert [name for name in names if name not in together] == workers
    assert [name for name in together if name not in names] == ["spark-worker"]
    assert "watcher" not in names
    assert "airflow-init" not in names
