"""What the preflight finds, to the letter."""

import ast
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_platform import console, dotenv, revision, search_path
from mlops_platform.services import java
from mlops_platform.settings import PlatformSettings
from stack import bare
from stack.bare import installation, preflight
from stack.bare.preflight import GIB, Obstacle


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_in_use_is_named_with_its_program_and_its_variable(taken_port: int, tmp_path: Path) -> None:
    finding = preflight.check_port("MLOPS_AIRFLOW_PORT", taken_port, tmp_path)
    assert str(finding) == (
        f"port {taken_port} (airflow) is in use by {psutil.Process().name()} (pid {os.getpid()}). "
        "Remedy: stop what uses it, or set MLOPS_AIRFLOW_PORT in .env to a free port"
    )


def test_a_free_port_is_no_finding(taken_port: int, tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        free = server.getsockname()[1]
    assert preflight.check_port("MLOPS_AIRFLOW_PORT", free, tmp_path) is None


def test_a_port_held_by_a_leftover_of_this_installation_is_no_finding(tmp_path: Path) -> None:
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    environment = {**os.environ, installation.MARK: str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as leftover:
        assert leftover.stdout is not None
        port = int(leftover.stdout.readline())
        assert preflight.check_port("MLOPS_AIRFLOW_PORT", port, tmp_path) is None
        assert preflight.check_port("MLOPS_AIRFLOW_PORT", port, tmp_path / "another") is not None
        leftover.kill()


@pytest.mark.parametrize(
    ("version", "uv_is_there", "expected"),
    [
        (
            (3, 9, 2),
            False,
            Obstacle(
                "Python: 3.9.2 (/usr/bin/python3) is too old, 3.11 or newer is needed",
                "install Python 3.11, 3.12 or 3.13 (or uv, which brings one), or set MLOPS_PYTHON to one",
            ),
        ),
        ((3, 9, 2), True, None),
        ((3, 11, 0), False, None),
        ((3, 14, 0), False, None),
    ],
)
def test_python(version: tuple[int, ...], uv_is_there: bool, expected: Obstacle | None) -> None:
    assert preflight.check_python(version, "/usr/bin/python3", uv_is_there=uv_is_there) == expected


def test_an_old_java_matters_only_where_none_can_be_brought() -> None:
    old: list[tuple[Path, int | None]] = [(Path("/opt/jdk8/bin/java"), 8)]
    assert preflight.check_java(old, can_be_brought=True) is None
    assert preflight.check_java([*old, (Path("/usr/bin/java"), 17)], can_be_brought=False) is None
    assert str(preflight.check_java(old, can_be_brought=False)) == (
        "Java: /opt/jdk8/bin/java is 8; 17 or newer is needed, and PyPI has none for this machine. "
        "Remedy: install a Java 17 or 21 and set JAVA_HOME to it"
    )


def test_too_little_memory_and_disk() -> None:
    assert str(preflight.check_memory(1.5 * GIB, 4 * GIB)) == (
        "memory: 1.5 GiB are free, the platform needs 4.0 GiB. "
        "Remedy: close other programs, or give the machine (or its container) more memory"
    )
    assert preflight.check_memory(None, 4 * GIB) is None
    assert str(preflight.check_disk(Path("/project"), 0.25 * GIB, 6 * GIB)) == (
        "disk: 0.2 GiB are free at /project, the platform needs 6.0 GiB. "
        "Remedy: free some space, or move the project to a larger disk"
    )
    assert preflight.check_disk(Path("/project"), 6 * GIB, 6 * GIB) is None


def test_paths_that_nothing_can_carry() -> None:
    spaced, long = Path("/home/my name/project"), Path("/" + "d" * 100)
    assert preflight.check_path(Path("/project"), Path("/project/var")) is None
    assert str(preflight.check_path(spaced, spaced / "var")) == (
        f"folder: {spaced} has a space in its path, which Java's options cannot carry. Remedy: move it"
    )
    assert str(preflight.check_path(long, long / "var")) == (
        f"folder: the path {long}/var/run/supervisor.sock has 125 bytes, a socket's may have 103. "
        "Remedy: move the project to a shorter path"
    )


def test_all_findings_come_at_once(
    project_root: Path, taken_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "MEMORY_NEEDED", 2**60)
    monkeypatch.setattr(preflight, "DISK_NEEDED", 2**60)
    monkeypatch.setattr(preflight, "DISK_NEEDED_WITH_ENVIRONMENT", 2**60)
    environ = {"MLOPS_STATE_DIR": str(tmp_path), "PATH": os.environ["PATH"], "MLOPS_MLFLOW_PORT": str(taken_port)}
    found = preflight.obstacles(project_root, environ)
    whats = [finding.what for finding in found]
    assert any(what.startswith("memory: ") for what in whats)
    assert any(what.startswith("disk: ") for what in whats)
    assert any(what.startswith(f"port {taken_port} (mlflow) is in use") for what in whats)
    assert preflight.report(found).splitlines()[0] == f"{len(found)} things stand in the way of a start:"


def test_the_report() -> None:
    assert preflight.report([]) == "Nothing stands in the way of a start."
    assert preflight.report([Obstacle("a is b", "do c")]) == (
        "1 thing stands in the way of a start:\n  1. a is b. Remedy: do c"
    )


def test_ports_are_those_of_the_settings(project_root: Path) -> None:
    fields = PlatformSettings.model_fields
    assert installation.ports(project_root, {}) == {
        f"MLOPS_{name.upper()}": field.default for name, field in fields.items() if name.endswith("_port")
    }
    assert installation.ports(project_root, {"MLOPS_AIRFLOW_PORT": "18080"})["MLOPS_AIRFLOW_PORT"] == 18080


def test_a_folder_of_use_cases_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    known = {"MLOPS_USE_CASES": f"mine:{tmp_path}/gone"}
    assert [str(finding) for finding in preflight.check_use_cases(tmp_path, known)] == [
        f"use cases: MLOPS_USE_CASES names {tmp_path}/gone, which is no folder. Remedy: correct it in .env"
    ]


BARE = sorted(Path(str(bare.__file__)).parent.glob("*.py"))


@pytest.mark.parametrize(
    "path", [*BARE, *(Path(str(module.__file__)) for module in (console, dotenv, java, revision, search_path))]
)
def test_what_runs_before_the_environment_exists_needs_only_an_old_python(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    } | {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names | {"mlops_platform", "stack"}
