"""Real processes of a real supervisor, and those that a container's shell lists: who is seen, and who gets a signal."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.services.table import Service
from mlops_platform.settings import PlatformSettings
from stack import supervision
from stack.bare.docker import CommandFailed
from stack.chaos import container_processes, local_processes
from stack.chaos.acts import kill, pause
from stack.chaos.container_processes import ContainerProcesses, parsed
from stack.chaos.local_processes import LocalProcesses
from stack.chaos.processes import ProcessGone, RunningProcess
from stack.supervision import marked_processes
from tests.processes import wait_until
from tests.stack.supervised import launched

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="what runs in containers runs on Linux")


@pytest.fixture
def local(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalProcesses]:
    """A supervisor with one service, which has one child."""
    table = (Service("one", ("one.sh",), lambda _settings, _since: True), Service("step", ("one.sh",), None))
    monkeypatch.setattr(supervision, "services", lambda _settings: table)
    monkeypatch.setattr(local_processes, "services", lambda _settings: table)
    here, supervisor = launched(settings, "one")
    try:
        supervisor.start("one")
        yield LocalProcesses(here)
    finally:
        for process in marked_processes(here):
            process.kill()


def leader_and_child(processes: LocalProcesses) -> tuple[RunningProcess, RunningProcess]:
    found = wait_until(lambda: len(seen := processes.of("one")) == 2 and seen, "the service and its child run", 10)
    (leader,) = [one for one in found if one.leads]
    (child,) = [one for one in found if not one.leads]
    return leader, child


def test_a_service_has_the_process_that_leads_it_and_those_that_it_started(local: LocalProcesses) -> None:
    leader, child = leader_and_child(local)
    assert local.services() == ("one", "supervisord")
    assert leader.command.endswith("one.sh")
    assert child.command == "sleep 600"
    assert psutil.Process(child.pid).ppid() == leader.pid
    assert local.of("step") == []


def test_what_is_killed_is_gone_and_another_one_takes_its_place(local: LocalProcesses) -> None:
    leader, child = leader_and_child(local)
    kill(local, leader, 0)
    wait_until(lambda: not local.any_runs([leader]), "it is gone", 10)
    again = wait_until(lambda: [one for one in local.of("one") if one.leads], "it is started again", 10)
    assert again != [leader]
    assert local.any_runs([child]), "what it left behind is no business of the one who kills"
    with pytest.raises(ProcessGone, match=f"process {leader.pid} of one ended by itself"):
        kill(local, leader, 0)


def test_who_has_the_number_now_gets_no_signal(local: LocalProcesses) -> None:
    _, child = leader_and_child(local)
    with pytest.raises(ProcessGone):
        kill(local, replace(child, started=child.started - 1), 0)
    assert local.any_runs([child])


def test_what_is_stopped_goes_on_afterwards(local: LocalProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, _ = leader_and_child(local)
    states = []

    def asleep(seconds: float) -> None:
        wait_until(lambda: psutil.Process(leader.pid).status() == psutil.STATUS_STOPPED, "it is stopped", 10)
        states.append(seconds)

    monkeypatch.setattr("stack.chaos.acts.sleep", asleep)
    pause(local, leader, 12.5)
    assert states == [12.5]
    wait_until(lambda: psutil.Process(leader.pid).status() == psutil.STATUS_SLEEPING, "it goes on", 10)


def test_what_is_killed_while_it_is_stopped_is_no_error(local: LocalProcesses, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, _ = leader_and_child(local)

    def killed_meanwhile(_seconds: float) -> None:
        os.kill(leader.pid, signal.SIGKILL)
        wait_until(lambda: not local.any_runs([leader]), "it is gone", 10)

    monkeypatch.setattr("stack.chaos.acts.sleep", killed_meanwhile)
    pause(local, leader, 5)


def test_the_supervisor_is_a_process_of_its_own_and_well_once_all_it_has_to_do_runs(local: LocalProcesses) -> None:
    leader, _ = leader_and_child(local)
    (supervisor,) = local.of("supervisord")
    assert supervisor.leads
    assert psutil.Process(leader.pid).ppid() == supervisor.pid
    assert not local.is_usable("supervisord", dt.datetime.now(dt.UTC)), "its service has only just been started"
    kill(local, supervisor, 0)
    wait_until(lambda: not local.any_runs([supervisor]), "it is gone", 10)
    with pytest.raises(PlatformError, match="supervisord does not answer"):
        local.is_usable("supervisord", dt.datetime.now(dt.UTC))
    assert local.any_runs([leader])


def test_without_a_supervisor_nobody_can_tell(settings: PlatformSettings) -> None:
    with pytest.raises(PlatformError, match="supervisord does not answer"):
        LocalProcesses(settings).of("serving")


LISTING = (
    "1 (docker-init) S 0 1 1 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 500 1 1\t/sbin/docker-init -- serving/serve.sh\n"
    "7 (python) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 503 1 1\tpython -m serving \n"
    "21 (a) b (c) S 7 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 611 1 1\tpython -m serving (worker) x) \n"
    "30 (python) Z 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 640 1 1\t\n"
    "38 (java) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 520 1 1\tjava adopted \n"
    "44 (sh) S 0 44 44 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 700 1 1\tsh -c for one\n"
)


def test_what_a_container_lists_is_read_whatever_processes_are_called() -> None:
    found = parsed(LISTING, "serving", "c1")
    assert [(one.pid, one.started, one.leads, one.command) for one in found] == [
        (1, 500.0, False, "/sbin/docker-init -- serving/serve.sh"),
        (7, 503.0, True, "python -m serving"),
        (21, 611.0, False, "python -m serving (worker) x)"),
        (38, 520.0, False, "java adopted"),
        (44, 700.0, False, "sh -c for one"),
    ]
    assert {one.container for one in found} == {"c1"}


class Engine:
    """One container whose inside is this machine: what is run in it is run here, by a real shell."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *arguments: str, **_options: Any) -> str:
        self.asked.append(arguments)
        if arguments[0] == "exec":
            done = subprocess.run(arguments[2:], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise CommandFailed(done.stderr, remedy="")
            return done.stdout.strip()
        return "c1"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "mine")
    monkeypatch.setattr(container_processes, "docker", engine)
    return engine


@pytest.fixture
def sleeping() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def seen_as(processes: ContainerProcesses, pid: int) -> RunningProcess:
    (found,) = [one for one in processes.of("serving") if one.pid == pid]
    return found


@on_linux
def test_a_process_in_a_container_is_listed_and_killed_from_inside(
    engine: Engine, sleeping: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    processes = ContainerProcesses(tmp_path)
    victim = seen_as(processes, sleeping.pid)
    assert (victim.command, victim.leads, victim.container) == ("sleep 600", False, "c1")
    label = "label=com.docker.compose."
    assert engine.asked[0] == (
        *("ps", "--quiet", "--filter", f"{label}project=mine", "--filter", f"{label}oneoff=False"),
        *("--filter", f"{label}service=serving"),
    )
    assert processes.any_runs([victim])
    processes.send(victim, signal.SIGKILL)
    assert sleeping.wait(10) == -signal.SIGKILL
    assert not processes.any_runs([victim])
    with pytest.raises(ProcessGone):
        processes.send(victim, signal.SIGKILL)


@on_linux
def test_who_has_the_number_now_gets_no_signal_in_a_container_either(
    engine: Engine, sleeping: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    processes = ContainerProcesses(tmp_path)
    victim = seen_as(processes, sleeping.pid)
    with pytest.raises(ProcessGone):
        processes.send(replace(victim, started=victim.started + 1), signal.SIGKILL)
    assert sleeping.poll() is None


@on_linux
def test_a_leader_whose_container_ends_with_it_was_killed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken_off(*arguments: str, **_options: Any) -> str:
        if arguments[0] == "exec":
            raise CommandFailed("exit status 137", remedy="")
        return ""

    monkeypatch.setattr(container_processes, "docker", broken_off)
    leader = RunningProcess("serving", 7, 1.0, True, "python -m serving", "c1")
    processes = ContainerProcesses(tmp_path)
    processes.send(leader, signal.SIGKILL)
    for signum, process in ((signal.SIGSTOP, leader), (signal.SIGKILL, replace(leader, leads=False))):
        with pytest.raises(ProcessGone):
            processes.send(process, signum)


@pytest.mark.parametrize(
    ("containers", "states", "usable"),
    [
        ("c1 c2", "running healthy\nrunning healthy", True),
        ("c1 c2", "running healthy\nrestarting healthy", False),
        ("c1", "running starting", False),
        ("", "", False),
    ],
)
def test_a_service_is_usable_when_all_its_containers_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, containers: str, states: str, usable: bool
) -> None:
    def docker(*arguments: str, **_: Any) -> str:
        return containers if arguments[0] == "ps" else states

    monkeypatch.setattr(container_processes, "docker", docker)
    assert ContainerProcesses(tmp_path).is_usable("spark-worker", dt.datetime.now(dt.UTC)) is usable


def test_the_services_of_a_project_are_those_that_last(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = "serving\nspark-worker\nspark-worker\nairflow-init\nstate\npostgres-roles\npostgres"
    monkeypatch.setattr(container_processes, "docker", lambda *_, **__: shown)
    assert ContainerProcesses(tmp_path).services() == ("postgres", "serving", "spark-worker")


def test_an_engine_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def docker(*_: str, **__: Any) -> str:
        raise CommandFailed("docker ps failed", remedy="start it")

    monkeypatch.setattr(container_processes, "docker", docker)
    with pytest.raises(PlatformError, match=r"docker ps failed\. Remedy: start it"):
        ContainerProcesses(tmp_path).of("serving")
