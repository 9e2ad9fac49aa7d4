"""The shell scripts, in a copy of what they need before there is an environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mlops_platform.services import java
from stack.bare import bootstrap
from stack.bare.installation import UnderWay, lock, variables

SCRIPTS = ("start.sh", "stop.sh", "restart.sh", "reset.sh", "environment.sh")


@pytest.fixture
def checkout(tmp_path: Path, project_root: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    for name in (*SCRIPTS, "requirements.txt", "pyproject.toml"):
        shutil.copy2(project_root / name, root / name)
    for package in ("mlops_platform", "stack"):
        shutil.copytree(project_root / package, root / package)
    return root


def run(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "PYTHON"))}
    return subprocess.run(
        command,
        cwd=checkout,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_stop_without_an_environment(checkout: Path) -> None:
    done = run(checkout, "./stop.sh")
    assert (done.returncode, done.stdout) == (0, "Nothing is running: there is no environment yet.\n")


def test_reset_asks_and_removes_only_what_the_platform_made(checkout: Path) -> None:
    (checkout / "var").mkdir()
    (checkout / "var" / "data").touch()
    (checkout / ".env").touch()
    (checkout / "mine").touch()
    unanswered = run(checkout, "./reset.sh")
    assert (unanswered.returncode, unanswered.stdout) == (
        1,
        "Remove var, .env with all data, models and history in it? [y/N] Nothing was removed.\n",
    )
    done = run(checkout, "./reset.sh", "--yes")
    assert (done.returncode, done.stdout) == (0, "Removed var, .env.\n")
    assert not (checkout / "var").exists()
    assert not (checkout / ".env").exists()
    assert (checkout / "mine").exists()
    assert run(checkout, "./reset.sh", "--yes").stdout == "Nothing to remove.\n"


def test_reset_refuses_a_state_folder_elsewhere(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run(checkout, "./reset.sh", "--yes", MLOPS_STATE_DIR=str(elsewhere))
    assert (done.returncode, done.stderr) == (
        1,
        f"error: the state folder {elsewhere} is outside the project. Remedy: remove it yourself\n",
    )
    assert elsewhere.is_dir()


def test_a_script_without_python_says_what_to_install(checkout: Path) -> None:
    done = run(checkout, "./stop.sh", MLOPS_PYTHON="no-such-python")
    assert (done.returncode, done.stderr) == (
        1,
        "Python: none found on PATH. Remedy: install Python 3.11, 3.12 or 3.13 (or set MLOPS_PYTHON to one)\n",
    )


def test_two_commands_at_once(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(UnderWay) as raised, lock(tmp_path):
        pass
    assert str(raised.value) == f"another start, stop or reset of {tmp_path} is under way: wait for it"
    with lock(tmp_path):
        pass


def test_variables_of_the_environment_override_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# note\nMLOPS_A=1\nMLOPS_B='2'\n", encoding="utf-8")
    assert variables(tmp_path, {"MLOPS_B": "3", "OTHER": "4"}) == {"MLOPS_A": "1", "MLOPS_B": "3"}


def test_the_wrapper_hides_the_missing_module_and_passes_the_rest(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text('#!/usr/bin/env bash\nprintf "<%s>" "$@"\n', encoding="utf-8")
    runtime.chmod(0o755)
    home = java.write_wrapper(tmp_path / "var", runtime)
    arguments = ["--add-modules=jdk.incubator.vector", "-cp", "a b", "--add-opens=x=ALL-UNNAMED"]
    answer = subprocess.check_output([str(home / "bin" / "java"), *arguments], text=True)
    assert answer == "<-cp><a b><--add-opens=x=ALL-UNNAMED>"
    assert java.java_home(tmp_path / "var", {"PATH": str(tmp_path / "nothing")}) == home


@pytest.mark.parametrize(
    ("banner", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_401"', 8), ("no runtime present", None)],
)
def test_versions_of_java(tmp_path: Path, banner: str, major: int | None) -> None:
    program = tmp_path / "java"
    program.write_text(f"#!/usr/bin/env bash\necho '{banner}' >&2\n", encoding="utf-8")
    program.chmod(0o755)
    assert java.major_version(program) == major


def test_an_old_java_home_gives_way_to_a_newer_java_on_path(tmp_path: Path) -> None:
    for folder, version in (("old", "1.8.0_401"), ("new", "21.0.2")):
        program = tmp_path / folder / "bin" / "java"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho 'version \"{version}\"' >&2\n", encoding="utf-8")
        program.chmod(0o755)
    environ = {"JAVA_HOME": str(tmp_path / "old"), "PATH": str(tmp_path / "new" / "bin")}
    assert java.usable_machine_home(environ) == tmp_path / "new"


def test_what_start_takes() -> None:
    options = bootstrap.start_arguments().parse_args(["--rows", "777715", "--data", "a=b.csv", "--data", "c=d.csv"])
    assert (options.mode, options.rows, options.data, options.workers) == ("auto", 777715, ["a=b.csv", "c=d.csv"], None)


@pytest.mark.parametrize("option", ["--workers", "--rows"])
@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_what_start_does_not_take(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bootstrap.start_arguments().parse_args([option, number])
    assert f"argument {option}: '{number}' is no whole number from 1 on" in capsys.readouterr().err
