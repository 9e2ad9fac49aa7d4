"""What every verb has: help, errors, exit codes, and where its work is done."""

import getpass
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from cli.verb import use_case_names
from stack.bare.compose import COMPOSE
from tests.cli.conftest import Mlops, Outcome
from tests.scripted_server import ScriptedServer


def test_help_names_every_command(mlops: Mlops) -> None:
    shown = mlops("--help")
    assert shown.code == 0
    listed = shown.out.split("Commands:")[1].split("Exit codes:")[0].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == [
        *(
            "run",
            "approve",
            "status",
            "doctor",
            "logs",
            "predict",
            "features",
            "check",
            "preview",
            "replay",
            "rollback",
        ),
        *("routing", "open", "audit", "chaos", "data", "snapshots", "models", "keys"),
    ]


@pytest.mark.parametrize("library", ["supervisor", "psutil", "duckdb", "sqlframe", "pyspark", "sklearn"])
def test_it_is_read_where_not_all_libraries_are(library: str) -> None:
    """In containers there is no supervisor; on a machine that has containers there is neither Spark nor DuckDB."""
    absent = f"import sys; sys.modules[{library!r}] = None; import cli.main"
    subprocess.run([sys.executable, "-c", absent], check=True, timeout=60)


def every_verb() -> Iterator[tuple[str, Any]]:
    """Each verb with the words that call it."""

    def below(command: Any, words: str) -> Iterator[tuple[str, Any]]:
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, f"{words} {name}")
        if not hasattr(command, "commands"):
            yield words, command

    return below(typer.main.get_command(app), "mlops")


def takes_use_case(verb: Any) -> bool:
    """Not as something to choose rows by."""
    return any(one.name == "use_case" and one.param_type_name == "argument" for one in verb.params)


VERBS = dict(every_verb())


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_has_examples_that_can_be_typed(words: str) -> None:
    examples = VERBS[words].epilog.splitlines()
    assert examples
    for example in examples:
        assert example.startswith(words)
        given = shlex.split(example.removeprefix(words))
        # raises where it cannot be understood
        assert VERBS[words].make_context(words, given, obj=given).params is not None


@pytest.mark.parametrize("words", VERBS)
def test_every_verb_answers_in_json_where_it_is_asked_to(words: str) -> None:
    assert "--json" in [option for parameter in VERBS[words].params for option in parameter.opts]


@pytest.mark.parametrize("words", [words for words in VERBS if takes_use_case(VERBS[words])])
def test_the_use_case_comes_first(words: str) -> None:
    assert VERBS[words].params[0].name == "use_case"


def test_the_version_is_the_projects(mlops: Mlops) -> None:
    assert mlops("--version") == Outcome(0, f"mlops {version('local-mlops-platform')}\n", "")


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (("predict", "5008804"), 0),
        (("predict", "credit_risk", "5008804"), 0),
        (("predict", "--json", "5008804"), 0),
        # it asks for no customer called credit_risk
        (("predict", "credit_risk"), 2),
        (("predict",), 2),
        (("predict", "credit_risk", "5008804", "5008805"), 2),
        (("predict", "credit_rsk", "5008804"), 3),
    ],
)
def test_a_use_case_that_is_left_out_is_the_default_one(
    mlops: Mlops, server: ScriptedServer, typed: tuple[str, ...], code: int
) -> None:
    server.on("GET", "/v1/credit_risk/predict/5008804", {"id": "5008804", "prediction": 0})
    assert mlops(*typed).code == code
    assert len(server.asked) == (1 if code == 0 else 0)


def test_the_default_use_case_is_a_setting(mlops: Mlops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SERVING_DEFAULT_USE_CASE", "titanic_2")
    assert mlops("data", "list").err.startswith("error: there is no use case 'titanic_2'.")
    assert mlops("data", "list", "credit_risk").code == 0


@pytest.mark.parametrize(
    ("words", "offered"),
    [("mlops data list cr", ["credit_risk"]), ("mlops open ", ["airflow", "spark", "mlflow", "api", "jupyter"])],
)
def test_the_shell_completes_what_can_follow(project_root: Path, words: str, offered: list[str]) -> None:
    asked = {"_MLOPS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    shown = subprocess.run(
        [sys.executable, "-m", "cli"],
        cwd=project_root,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.split() == offered


def test_a_page_is_opened_and_its_login_is_told_without_the_secret(
    mlops: Mlops, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("MLOPS_AIRFLOW_PORT", "18080")
    monkeypatch.setenv("MLOPS_AIRFLOW_ADMIN_PASSWORD", "a secret")
    login = "admin / MLOPS_AIRFLOW_ADMIN_PASSWORD in .env"
    assert mlops("open", "airflow") == Outcome(0, f"http://127.0.0.1:18080  {login}\n", "")
    assert opened == ["http://127.0.0.1:18080"]
    assert json.loads(mlops("open", "airflow", "--json").out) == {"url": "http://127.0.0.1:18080", "login": login}
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "what", "remedy"),
    [
        (
            ("data", "list", "credit_rsk"),
            3,
            "there is no use case 'credit_rsk'",
            f"did you mean 'credit_risk'? the use cases are {', '.join(use_case_names())}",
        ),
        (
            ("snapshots", "rollback", "credit_risk"),
            3,
            "credit_risk has no snapshot before the published one",
            "see which there are with `mlops snapshots list credit_risk`",
        ),
        (
            ("snapshots", "rollback", "credit_risk", "--to", "s9"),
            3,
            "credit_risk has no snapshot 's9'; published: none yet",
            "name one of these, or run the features DAG",
        ),
    ],
)
def test_an_error_is_one_line_with_its_remedy(
    mlops: Mlops, arguments: tuple[str, ...], code: int, what: str, remedy: str
) -> None:
    assert mlops(*arguments) == Outcome(code, "", f"error: {what}. Remedy: {remedy}\n")


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
        "copied = sys.stdin.read() if any('cat >' in word for word in sys.argv) else ''\n"
        f"with open({str(engine.calls_file)!r}, 'a') as calls:\n"
        "    calls.write(json.dumps({'arguments': sys.argv[1:], 'copied': copied}) + '\\n')\n"
        f"sys.exit(0 if copied else int(pathlib.Path({str(engine.ends_with)!r}).read_text()))\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MLOPS_MODE", "docker")
    return engine


CALLER = ["--env", f"LOGNAME={getpass.getuser()}"]
INSIDE = [*COMPOSE, "exec", "-T", *CALLER, "airflow-scheduler", "python", "-m", "cli"]


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
        (("run", "credit_rsk", "features"), 3),
        (("routing", "credit_risk", "--challenger-share", "2"), 2),
        (("predict", "credit_rsk", "1"), 3),
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
        ("approve", "credit_risk"),
        ("audit",),
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
        (("run", "credit_risk", "training"), "Airflow answered 404 to POST /auth/token"),
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


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (("features", "1"), 3, "the prediction service answered 404"),
        (("predict", "1"), 3, "the prediction service answered 404"),
        (("models", "list", "credit_risk"), 75, "MLflow"),
    ],
)
def test_the_exit_code_tells_what_is_missing_from_what_is_away(
    mlops: Mlops, engine: Engine, arguments: tuple[str, ...], code: int, what: str
) -> None:
    shown = mlops(*arguments)
    assert (shown.code, what in shown.err) == (code, True)
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
    copied, added, removed = engine.calls()
    folder, name = copied["arguments"][-2:]
    assert (copied["copied"], name) == ("loans", "credit_risk")
    assert added["arguments"] == [*INSIDE, "data", "add", "credit_risk", f"{folder}/credit_risk"]
    assert removed["arguments"][-3:] == ["rm", "-rf", folder]
    assert mlops("data", "add", "credit_risk", "credit_risk", "--json").code == 0
    copied, added, _ = engine.calls()[3:]
    again = copied["arguments"][-2]
    assert again != folder
    assert added["arguments"] == [*INSIDE, "data", "add", "credit_risk", f"{again}/credit_risk", "--json"]


def test_files_by_source_are_taken_along_each(
    mlops: Mlops, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.csv", "two.csv"):
        Path(name).write_text(name, encoding="utf-8")
    assert mlops("data", "add", "credit_risk", "data:one.csv", "two.csv").code == 0
    first, second, added, *removed = engine.calls()
    assert [first["copied"], second["copied"], len(removed)] == ["one.csv", "two.csv", 2]
    copies = ["/".join(copied["arguments"][-2:]) for copied in (first, second)]
    assert added["arguments"] == [*INSIDE, "data", "add", "credit_risk", f"data:{copies[0]}", copies[1]]


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
