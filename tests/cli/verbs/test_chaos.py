"""``mlops chaos``: what is asked before, what is drawn, what is said and how it ends."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import typer

from cli.verbs import chaos
from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos.plan import Round
from stack.chaos.rounds import Outcome
from tests.cli.conftest import Mlops


class Services:
    """What there is to be killed."""

    def services(self) -> tuple[str, ...]:
        return ("airflow-scheduler", "mlflow", "serving", "spark-worker-1")


class Rounds:
    """In the place of rounds: each is remembered and ends well, but the one that ``breaks`` a promise or ``fails``."""

    def __init__(self) -> None:
        self.done: list[Round] = []
        self.on: tuple[str, ...] = ()
        self.breaks = 0
        self.fails = 0

    def __call__(self, _settings: PlatformSettings, use_case: str, _processes: object, acts: Any) -> "Rounds":
        self.on = (use_case, *acts)
        return self

    def outcomes(self, rounds: Iterator[Round]) -> Iterator[Outcome]:
        for one in rounds:
            if one.number == self.fails:
                raise PlatformError("supervisord does not answer", remedy="start it")
            self.done.append(one)
            found = Outcome(one, f"process 7 of {one.target.name}", 4.0, 100, 2)
            yield replace(found, broken={"stores agree": "1 disagreements: x"}) if one.number == self.breaks else found


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    rounds = Rounds()
    monkeypatch.setattr(chaos, "processes_of", lambda _settings: Services())
    monkeypatch.setattr(chaos, "Chaos", rounds)
    return rounds


def test_as_many_rounds_as_wanted_and_a_table_of_them(mlops: Mlops, rounds: Rounds) -> None:
    shown = mlops("chaos", "--rounds", "3", "--seed", "7", "--yes")
    assert shown.code == 0
    assert rounds.on == ("credit_risk", "kill -9", "SIGSTOP, SIGCONT")
    assert [one.number for one in rounds.done] == [1, 2, 3]
    first, *lines = shown.err.splitlines()
    assert first == "seed 7"
    assert [line.split(":")[0] for line in lines[::2]] == ["round 1", "round 2", "round 3"]
    assert lines[1::2] == ["  healthy after 4 s, held: all"] * 3
    header, *table = shown.out.split("\n\n")[0].splitlines()
    assert header.split("  ")[0] == "round"
    assert [line.split()[0] for line in table] == ["1", "2", "3"]


def test_a_seed_gives_the_same_again_and_without_one_it_is_another_each_time(mlops: Mlops, rounds: Rounds) -> None:
    seeds = {mlops("chaos", "--yes", "--rounds", "1").err.splitlines()[0] for _ in range(4)}
    assert len(seeds) > 1
    rounds.done.clear()
    for _ in range(2):
        mlops("chaos", "--rounds", "8", "--seed", "11", "--yes")
    assert rounds.done[:8] == rounds.done[8:]


def test_nothing_is_done_without_a_yes(mlops: Mlops, rounds: Rounds, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no(question: str, **_: object) -> None:
        asked.append(question)
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", no)
    assert mlops("chaos", "--rounds", "2").code == 1
    assert asked[0].startswith("This kills and stops processes of the platform that runs here, 2 of them")
    assert rounds.done == []


def test_what_did_not_hold_is_said_and_is_the_exit_code(mlops: Mlops, rounds: Rounds) -> None:
    rounds.breaks = 2
    shown = mlops("chaos", "--rounds", "3", "--seed", "7", "--yes", "--json")
    assert shown.code == 1
    found = json.loads(shown.out)
    assert (found["seed"], found["held"], len(found["rounds"])) == (7, False, 3)
    assert "round 2: stores agree: 1 disagreements: x" in shown.err
    assert "the same rounds again: mlops chaos credit_risk --rounds 3 --seed 7\n" in shown.err


def test_what_was_done_is_shown_also_where_it_cannot_go_on(mlops: Mlops, rounds: Rounds) -> None:
    rounds.fails = 2
    shown = mlops("chaos", "--rounds", "3", "--seed", "7", "--yes", "--json")
    assert (shown.code, len(json.loads(shown.out)["rounds"])) == (1, 1)
    assert "error: supervisord does not answer. Remedy: start it" in shown.err


@pytest.mark.parametrize("arguments", [("--rounds", "0"), ("--seed", "-1"), ("--seed", "x")])
def test_numbers_that_make_no_sense_are_not_understood(
    mlops: Mlops, rounds: Rounds, arguments: tuple[str, str]
) -> None:
    assert mlops("chaos", *arguments).code == 2
    assert rounds.done == []


def test_in_a_container_there_is_nothing_to_be_seen(
    mlops: Mlops, rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_MODE", "container")
    shown = mlops("chaos", "--yes")
    assert (shown.code, rounds.done) == (1, [])
    assert "run it on the machine" in shown.err


def test_a_platform_that_does_not_run_is_said(mlops: Mlops) -> None:
    shown = mlops("chaos", "--yes", "--seed", "7")
    assert shown.code == 1
    assert "the platform is not well before the first round: watcher has not looked since" in shown.err
