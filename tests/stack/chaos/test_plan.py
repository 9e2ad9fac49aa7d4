"""Which rounds a seed gives, and which kinds of processes there are."""

import sys
from itertools import islice

import pytest

from stack.chaos.plan import KILL, Round, planned_rounds
from stack.chaos.processes import TRAINING_RUN, RunningProcess
from stack.chaos.targets import Target, targets
from stack.chaos.work import STEPS, Work

LOCAL = ("serving", "airflow-scheduler", "spark-worker-1", "spark-worker-2", "watcher")
KINDS = tuple(Target(name, (name,)) for name in "abcde")


def drawn(seed: int, count: int, kinds: tuple[Target, ...] = KINDS, acts: tuple[str, ...] = (KILL, "p")) -> list[Round]:
    return list(islice(planned_rounds(seed, kinds, acts), count))


def test_the_same_seed_gives_the_same_rounds_and_another_one_others() -> None:
    assert drawn(7, 20) == drawn(7, 20)
    assert drawn(7, 20) != drawn(8, 20)
    assert drawn(7, 20)[:5] == drawn(7, 5)


@pytest.mark.parametrize("seed", range(5))
def test_two_kills_then_something_else_and_each_kind_is_killed_before_one_is_again(seed: int) -> None:
    rounds = drawn(seed, 15)
    assert [one.number for one in rounds] == list(range(1, 16))
    assert [one.act for one in rounds] == [KILL, KILL, "p"] * 5
    killed = [one.target.name for one in rounds if one.act == KILL]
    assert sorted(killed[:5]) == sorted(killed[5:]) == list("abcde")


def test_where_there_are_only_kills_every_round_is_one() -> None:
    assert {one.act for one in drawn(1, 9, acts=(KILL,))} == {KILL}


def test_a_round_has_the_work_that_its_process_comes_with_and_one_of_its_steps() -> None:
    kinds = (Target("driver", ("s",), "d", Work.FEATURES), Target("other", ("s",)))
    rounds = drawn(3, 60, kinds)
    assert {one.work for one in rounds if one.target.name == "driver"} == {Work.FEATURES}
    assert {one.work for one in rounds if one.target.name == "other"} == set(Work)
    assert all(one.step in STEPS[one.work] for one in rounds)
    assert all(0 <= one.delay <= 6 and 5 <= one.pause <= 20 for one in rounds)


def test_every_service_is_a_kind_and_so_is_what_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    found = targets(LOCAL, containers=False)
    assert [one.name for one in found] == [
        *sorted(LOCAL), "prediction worker", "log publisher", "task supervisor", "task", "Spark driver",
        "Spark executor", "training run",
    ]  # fmt: skip
    by_name = {one.name: one for one in found}
    assert by_name["Spark executor"].services == ("spark-worker-1", "spark-worker-2")
    assert [one.name for one in found if one.holds_answers] == ["serving", "prediction worker"]
    assert by_name["training run"].services == ("airflow-scheduler",)
    in_containers = {one.name: one for one in targets(["serving"], containers=True)}
    assert in_containers["training run"] == Target(
        "training run", (TRAINING_RUN,), work=Work.TRAINING, comes_and_goes=True
    )


def test_where_tasks_have_no_titles_they_are_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not {"task", "task supervisor"} & {one.name for one in targets(LOCAL, containers=False)}
    assert {"task", "task supervisor"} <= {one.name for one in targets(LOCAL, containers=True)}


COMMANDS = {
    "serving": (True, "granian asgi 127"),
    "prediction worker": (False, "granian asgi 127"),
    "prediction worker without a title": (False, "/x/python -m serving"),
    "log publisher": (False, "/x/python -m serving.log.publish --state-dir /s"),
    "task supervisor": (False, "airflow task: 0199-ab"),
    "task": (False, "airflow worker -- 0199-ab"),
    "Spark driver": (
        False,
        "/j/java -Xmx1g org.apache.spark.deploy.SparkSubmit --name n /p/spark_jobs/feature_job.py -x",
    ),
    "Spark executor": (False, "/j/java -cp c org.apache.spark.executor.CoarseGrainedExecutorBackend --cores 1"),
    "training run": (False, "/x/python -m training train --use-case credit_risk"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_process_is_of_its_own_kind_alone(name: str) -> None:
    leads, command = COMMANDS[name]
    process = RunningProcess("any", 7, 1.0, leads, command)
    services = tuple(
        name for name in LOCAL if name not in ("airflow-scheduler", "spark-worker-1", "spark-worker-2", "watcher")
    )
    assert [one.name for one in targets(services, containers=False) if one.is_one(process)] == [
        name.removesuffix(" without a title")
    ]
