"""The shell scripts, in a copy of what they need before there is an environment."""

import fcntl
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mlops_platform.services import java
from stack.bare.arguments import SourceFile, first_data, named_files, start_parser
from stack.bare.installation import UnderWay, lock, variables
from tests.stack.scripts import run


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


def test_reset_waits_for_nobody_and_removes_nothing_under_a_start(checkout: Path) -> None:
    (checkout / ".env").touch()
    with lock(checkout / "var"):
        done = run(checkout, "./reset.sh", "--yes")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"error: another start, stop or reset of {checkout}/var is under way: wait for it\n"
        assert (checkout / ".env").exists()
    assert run(checkout, "./reset.sh", "--yes").stdout == "Removed var, .env.\n"
    assert not (checkout / "var").exists()


def test_a_child_goes_on_under_the_lock_and_keeps_it_when_its_parent_is_gone(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from stack.bare.installation import lock\n"
        "with lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = (
        "import os, pathlib, sys\n"
        "from stack.bare.installation import lock, run_under\n"
        "with lock(pathlib.Path(sys.argv[1])) as held:\n"
        "    run_under(held, sys.executable, '-c', sys.argv[2], sys.argv[1])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path), program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
        process.wait(timeout=10)
        with pytest.raises(UnderWay), lock(tmp_path):
            pass
        process.stdin.close()
        assert process.stdout.read() == ""
    with lock(tmp_path):
        pass


def test_a_lock_that_a_reset_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock

    def removed_before(descriptor: int, operation: int) -> None:
        (tmp_path / "run" / "lock").unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with pytest.raises(UnderWay), lock(tmp_path):
        pass


@pytest.mark.parametrize("command", [("./start.sh", "--check"), ("./reset.sh", "--yes")])
def test_a_file_that_cannot_be_used_is_no_traceback(checkout: Path, command: tuple[str, ...]) -> None:
    (checkout / ".env").mkdir()
    done = run(checkout, *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {checkout}/.env: Is a directory. "
        "Remedy: let it belong to the user who runs this, and see that the disk has room\n"
    )


def test_variables_of_the_environment_override_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# note\nMLOPS_A=1\nMLOPS_B='2'\n", encoding="utf-8")
    assert variables(tmp_path, {"MLOPS_B": "3", "OTHER": "4"}) == {"MLOPS_A": "1", "MLOPS_B": "3"}


def test_the_scripts_refuse_what_mlops_refuses(checkout: Path) -> None:
    (checkout / ".env").write_text("MLOPS_AIRFLOW_PORT=$PORT\n", encoding="utf-8")
    done = run(checkout, "./start.sh", "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {checkout}/.env, line 1 is not of the form NAME=value")


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


@pytest.mark.parametrize("command", ["start", "stop", "restart", "reset"])
def test_help_is_all_that_is_done(checkout: Path, command: str) -> None:
    done = run(checkout, f"./{command}.sh", "--help")
    assert (done.returncode, done.stdout.splitlines()[0].split(" [")[0]) == (0, f"usage: ./{command}.sh")
    assert "Nothing is running" not in done.stdout
    wrong = run(checkout, f"./{command}.sh", "--no-such-option")
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_what_start_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.csv").touch()
    monkeypatch.setenv("MLOPS_CALLED_FROM", str(tmp_path))  # a file is meant from where the script was called
    options = start_parser("./start.sh").parse_args(["--rows", "777715", "--data", "a=b.csv"])
    data = [("a", [SourceFile("", tmp_path / "b.csv")])]
    assert (options.mode, options.rows, options.data, options.workers) == ("auto", 777715, data, None)
    assert first_data(options.rows, options.data) == ["--rows", "777715", "--data", f"a={tmp_path}/b.csv"]
    named = start_parser("./start.sh").parse_args(["--use-cases", "a, b"]).use_cases
    assert (options.use_cases, named) == ([], ["a", "b"])
    assert first_data(1, [], named)[-2:] == ["--use-cases", "a,b"]


@pytest.mark.parametrize(
    ("given", "files"),
    [
        ("b.csv,c.csv", [("", "b.csv"), ("", "c.csv")]),
        ("rest:c.csv,these:b.csv", [("rest", "c.csv"), ("these", "b.csv")]),
        ("b,c.csv", [("", "b,c.csv")]),
        ("rest:b,c.csv", [("rest", "b,c.csv")]),
        ("odd:name.csv", [("", "odd:name.csv")]),
    ],
)
def test_files_of_several_sources_are_told_apart_once_and_again_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, files: list[tuple[str, str]]
) -> None:
    for name in ("b.csv", "c.csv", "b,c.csv", "odd:name.csv"):
        (tmp_path / name).touch()
    monkeypatch.setenv("MLOPS_CALLED_FROM", str(tmp_path))
    data = named_files(f"songs={given}")
    assert data == ("songs", [(source, tmp_path / name) for source, name in files])
    assert named_files(first_data(1, [data])[-1]) == data


@pytest.mark.parametrize("option", ["--workers", "--rows"])
@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_what_start_does_not_take(option: str, number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        start_parser("./start.sh").parse_args([option, number])
    assert f"argument {option}: '{number}' is no whole number from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["a=gone.csv", "gone.csv", "=", "a=LICENSE,gone.csv", "a="])
def test_a_file_that_is_missing_is_named_before_anything_is_done(checkout: Path, given: str) -> None:
    done = run(checkout, "./restart.sh", "--data", given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"argument --data: {given}: no such file. Remedy: give it as USE_CASE=FILE" in done.stderr


def test_a_restart_that_cannot_start_stops_nothing(checkout: Path) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_UNIX) as supervisor, TemporaryDirectory() as state:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (Path(state) / "run").mkdir()
        supervisor.bind(f"{state}/run/supervisor.sock")
        supervisor.listen()
        done = run(checkout, "./restart.sh", MLOPS_STATE_DIR=state, MLOPS_JUPYTER_PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"port {port} (jupyter) is in use by" in done.stderr
