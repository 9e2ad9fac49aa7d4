"""What every verb has: help, errors, exit codes, and where its work is done."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack.bare.compose import COMPOSE
from tests.cli.conftest import Mlops, Outcome


def test_help_names_every_command(mlops: Mlops) -> None:
    shown = mlops("--help")
    assert shown.code == 0
    listed = shown.out.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == [
        *("run", "approve", "status", "doctor", "predict", "features", "replay", "rollback", "routing"),
        *("data", "snapshots", "models"),
    ]


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        (
            ("data", "list", "credit_rsk"),
            "there is no use case 'credit_rsk'",
            "did you mean 'credit_risk'? the use cases are credit_risk",
        ),
        (
            ("snapshots", "rollback", "credit_risk"),
            "credit_risk has no snapshot before the published one",
            "see which there are with `mlops snapshots list credit_risk`",
        ),
        (
            ("snapshots", "rollback", "credit_risk", "--to", "s9"),
            "credit_risk has no snapshot 's9'; published: none yet",
            "name one of these, or run the features DAG",
        ),
    ],
)
def test_an_error_is_one_line_with_its_remedy(mlops: Mlops, arguments: tuple[str, ...], what: str, remedy: str) -> None:
    assert mlops(*arguments) == Outcome(1, "", f"error: {what}. Remedy: {remedy}\n")


@dataclass
class Engine:
    """A ``docker`` that keeps what it was called with, and ends as it is told."""

    calls_file: Path
    ends_with: Path

    def calls(self) -> list[dict[str, Any]]:
        """Arguments and standard input of each call; empty standard input where a command was run."""
        if not self.calls_file.exists():
            return []
        return [json.loads(line) for line in self.calls_file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The installation is one of containers."""
    engine = Engine(tmp_path / "calls", tmp_path / "code")
    engine.ends_with.write_text("0", encoding="utf-8")
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib, sys\n"
        "copied = sys.stdin.read() if 'cat >\"$1\"' in sys.argv else ''\n"
        f"with open({str(engine.calls_file)!r}, 'a') as calls:\n"
        "    calls.write(json.dumps({'arguments': sys.argv[1:], 'copied': copied}) + '\\n')\n"
        f"sys.exit(0 if copied else int(pathlib.Path({str(engine.ends_with)!r}).read_text()))\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MLOPS_MODE", "docker")
    return engine


INSIDE = [*COMPOSE, "exec", "-T", "airflow-scheduler", "python", "-m", "cli"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("--help",), 0),
        (("run", "--help"), 0),
        (("data",), 2),
        (("status", "--jsno"), 2),
        (("nothing",), 2),
        (("run", "credit_risk"), 2),
        (("run", "credit_risk", "serving"), 2),
        (("run", "credit_risk", "features", "--snapshot", "s1"), 2),
        (("run", "credit_rsk", "features"), 1),
        (("routing", "credit_risk", "--challenger-share", "2"), 2),
        (("predict", "1", "--use-case", "credit_rsk"), 1),
    ],
)
def test_a_command_line_is_understood_before_a_container_is_asked(
    mlops: Mlops, engine: Engine, arguments: tuple[str, ...], code: int
) -> None:
    assert mlops(*arguments).code == code
    assert engine.calls() == []


IN_CONTAINER = "in the container airflow-scheduler, which has the lake:\n"


@pytest.mark.parametrize("code", [0, 1])
def test_what_needs_the_lake_is_done_in_the_container_and_ends_as_it_ends_there(
    mlops: Mlops, engine: Engine, code: int
) -> None:
    engine.ends_with.write_text(str(code), encoding="utf-8")
    arguments = ["snapshots", "list", "credit_risk", "--json"]
    assert mlops(*arguments) == Outcome(code, "", IN_CONTAINER)
    assert engine.calls() == [{"arguments": [*INSIDE, *arguments], "copied": ""}]


@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "generate", "credit_risk"),
        ("data", "list", "credit_risk"),
        ("snapshots", "list", "credit_risk"),
        ("snapshots", "rollback", "credit_risk"),
    ],
)
def test_every_verb_that_needs_the_lake_is_done_there(mlops: Mlops, engine: Engine, arguments: tuple[str, ...]) -> None:
    assert mlops(*arguments) == Outcome(0, "", IN_CONTAINER)
    assert [call["arguments"] for call in engine.calls()] == [[*INSIDE, *arguments]]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("approve", "credit_risk"), "Airflow answered 404 to POST /auth/token"),
        (("run", "credit_risk", "training"), "Airflow answered 404 to POST /auth/token"),
        (("features", "1"), "the prediction service answered 404"),
        (("predict", "1"), "the prediction service answered 404"),
        (("models", "list", "credit_risk"), "MLflow"),
        (("replay", "a1"), "no admin token for the prediction service"),
        (("rollback", "credit_risk"), "no admin token for the prediction service"),
        (("routing", "credit_risk"), "no admin token for the prediction service"),
        (("status",), "the platform was never started"),
    ],
)
def test_what_needs_a_service_alone_asks_it_from_here(
    mlops: Mlops, engine: Engine, arguments: tuple[str, ...], what: str
) -> None:
    shown = mlops(*arguments)
    assert shown.code == 1
    assert what in shown.err
    assert engine.calls() == []


def test_the_doctor_needs_no_container_and_asks_one_about_the_data(mlops: Mlops, engine: Engine) -> None:
    engine.ends_with.write_text("1", encoding="utf-8")
    shown = mlops("doctor", "--json")
    platform, data = json.loads(shown.out)
    assert (shown.code, platform["what"], data["subject"]) == (1, "it was never started", "data")
    assert data["what"].startswith("it could not be looked at: ")
    asked = engine.calls()[0]["arguments"]
    assert asked[: len(COMPOSE) + 3] == [*COMPOSE, "exec", "-T", "airflow-scheduler"]
    assert asked[-3:] == ["doctor", "--data", "--json"]


def test_a_file_is_taken_along_and_nothing_else_of_its_name(
    mlops: Mlops, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("credit_risk").write_text("loans", encoding="utf-8")
    assert mlops("data", "add", "credit_risk", "./credit_risk").code == 0
    copied, added = engine.calls()
    target = copied["arguments"][-1]
    assert (copied["copied"], Path(target).name) == ("loans", "credit_risk")
    assert added["arguments"] == [*INSIDE, "data", "add", "credit_risk", target]


def test_a_file_that_is_not_there_needs_no_container(mlops: Mlops, engine: Engine) -> None:
    assert mlops("data", "add", "credit_risk", "no.csv") == Outcome(
        1, "", "error: no.csv: no such file. Remedy: name a file of this machine\n"
    )
    assert engine.calls() == []


def test_the_module_is_the_command(project_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "run"], cwd=project_root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: mlops run ")
