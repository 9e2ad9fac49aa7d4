"""A Docker that is missing, silent, failing or slow is never taken for one in which nothing runs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.bare import docker as client
from stack.bare.docker import CommandFailed, DockerFailed, EngineAway, NotInstalled, TimedOut, docker
from tests.stack.scripts import run

SILENT = "echo 'Cannot connect to the Docker daemon' >&2; exit 1"
WORKING = """case "$1 $2" in
  "version --format") echo 27.0.1 ;;
  "compose version") echo 2.29.0 ;;
  "info --format") echo '{"MemTotal": 64000000000, "DockerRootDir": "/no-such-folder"}' ;;
  CASES
esac
"""
BROKEN = WORKING.replace("CASES", "*) echo 'disk I/O error' >&2; exit 7 ;;")

Fake = Callable[[str], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a program in the place of docker. Gives the file that lists what it was asked."""

    def put(program: str) -> Path:
        log = tmp_path / "asked"
        script = tmp_path / "bin" / "docker"
        script.parent.mkdir()
        script.write_text(f"#!/bin/bash\necho \"$*\" >>'{log}'\n{program}\n", encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
        return log

    return put


def test_what_it_prints(fake: Fake) -> None:
    fake('echo "<$*>"')
    assert docker("ps", "--all") == "<ps --all>"


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        (
            SILENT,
            EngineAway,
            (
                "Docker: no engine answers (Cannot connect to the Docker daemon). "
                "Remedy: start Docker, or use ./start.sh --mode local"
            ),
        ),
        (
            BROKEN,
            CommandFailed,
            (
                "docker ps --all failed with status 7: disk I/O error. Remedy: mend what it names; "
                "`docker compose logs SERVICE` shows why a service did not become healthy"
            ),
        ),
        (
            "exec tail -f /dev/null",
            TimedOut,
            "docker ps --all gave no answer within 0 s. Remedy: restart Docker, or use ./start.sh --mode local",
        ),
    ],
)
def test_why_there_is_no_answer(fake: Fake, program: str, kind: type[DockerFailed], message: str) -> None:
    fake(program)
    seconds = 0.2 if kind is TimedOut else client.SECONDS
    with pytest.raises(kind) as raised:
        docker("ps", "--all", seconds=seconds)
    assert str(raised.value) == message


def test_a_machine_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled) as raised:
        docker("ps")
    assert str(raised.value) == (
        "Docker: its client cannot be run (No such file or directory). "
        "Remedy: install Docker with its Compose plugin, or use ./start.sh --mode local"
    )


@pytest.fixture
def in_containers(checkout: Path) -> Path:
    """A checkout that was started in containers."""
    (checkout / ".env").write_text("MLOPS_MODE=docker\nCOMPOSE_PROJECT_NAME=here\n", encoding="utf-8")
    return checkout


@pytest.mark.parametrize(
    ("program", "message"),
    [(SILENT, "error: Docker: no engine answers"), (BROKEN, "error: docker ps --quiet --filter label=com.docker")],
)
def test_stop_does_not_say_that_nothing_runs_where_it_cannot_know(
    fake: Fake, in_containers: Path, program: str, message: str
) -> None:
    fake(program)
    done = run(in_containers, "./stop.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)


def test_stop_where_nothing_runs(fake: Fake, in_containers: Path) -> None:
    asked = fake(WORKING.replace("CASES", ""))
    done = run(in_containers, "./stop.sh")
    assert (done.returncode, done.stdout) == (0, "Nothing is running.\n")
    assert asked.read_text(encoding="utf-8") == "ps --quiet --filter label=com.docker.compose.project=here\n"


def test_a_restart_that_cannot_start_stops_no_container(fake: Fake, in_containers: Path) -> None:
    asked = fake(WORKING.replace("CASES", "'ps --quiet') echo 0123456789ab ;;"))
    done = run(in_containers, "./restart.sh", MLOPS_USE_CASES="gone")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"use cases: MLOPS_USE_CASES names {in_containers}/gone, which is no folder" in done.stderr
    assert "stop" not in asked.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("program", "finding"),
    [
        (SILENT, "Docker: no engine answers (Cannot connect to the Docker daemon)"),
        ("case $1 in version) echo 27.0.1 ;; *) exit 1 ;; esac", "Docker: its Compose plugin is missing"),
    ],
)
def test_a_start_in_containers_says_what_is_wrong_with_docker(
    fake: Fake, in_containers: Path, program: str, finding: str
) -> None:
    fake(program)
    done = run(in_containers, "./start.sh")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"1 thing stands in the way of a start:\n  1. {finding}. Remedy: " in done.stderr


def test_reset_removes_nothing_while_containers_may_be_left(fake: Fake, in_containers: Path) -> None:
    fake(BROKEN)
    done = run(in_containers, "./reset.sh", "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert (in_containers / ".env").exists()


def test_ports_that_its_own_containers_hold_are_free(fake: Fake, in_containers: Path) -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        port = own.getsockname()[1]
        fake(
            WORKING.replace(
                "CASES", f"'ps --quiet') echo 0123456789ab ;; 'ps --filter') echo '127.0.0.1:{port}->8000/tcp' ;;"
            )
        )
        done = run(in_containers, "./start.sh", "--check", MLOPS_SERVING_PORT=str(port))
    assert (done.returncode, done.stdout) == (
        0,
        "Containers: as it was started before; --mode chooses the other one\nNothing stands in the way of a start.\n",
    )


def test_an_engine_that_does_not_answer_is_said_where_it_decides(fake: Fake, checkout: Path) -> None:
    fake(SILENT)
    done = run(checkout, "./start.sh", "--check")
    assert (done.stdout or done.stderr).splitlines()[0] == (
        "Local processes: containers cannot be used: Docker: no engine answers (Cannot connect to the Docker "
        "daemon). Remedy: start Docker, or use ./start.sh --mode local"
    )
