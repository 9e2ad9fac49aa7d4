"""The table, the data, and what is said of a round in which something did not hold."""

from pathlib import Path

from mlops_platform.settings import PlatformSettings
from stack.chaos.plan import KILL, Round
from stack.chaos.report import COLUMNS, content, failures, longest_seconds, row
from stack.chaos.rounds import Outcome
from stack.chaos.targets import Target
from stack.chaos.work import Work

SERVING, TASK = Target("serving", ("serving",)), Target("task", ("airflow-scheduler",), "x", comes_and_goes=True)


def planned(number: int, target: Target, act: str = KILL) -> Round:
    return Round(number, target, act, Work.TRAINING, "train_candidates", delay=1.5, pause=9.0)


WELL = Outcome(planned(1, SERVING), "process 7 of serving", 12.34, answers=240, refusals=9)
SLOWER = Outcome(planned(2, SERVING), "process 9 of serving", 20.0, answers=200, refusals=0)
PAUSED = Outcome(planned(3, TASK, "SIGSTOP"), "process 30 of airflow-scheduler", 3.0, answers=100, refusals=0)
BROKEN = Outcome(planned(4, SERVING), "process 8 of serving", None, 10, 90, {"no answer is lost": "2 lost", "x": "y"})
NOTHING = Outcome(planned(5, TASK), broken={"it was done": "no process of the kind task came along"})


def test_the_table_says_what_was_done_and_what_held() -> None:
    assert [[row(one)[name] for name in COLUMNS] for one in (WELL, PAUSED, BROKEN, NOTHING)] == [
        [1, "kill -9", "serving", "training, train_candidates +1.5 s", "12 s", 240, 9, "all"],
        [3, "SIGSTOP", "task", "training +1.5 s", "3 s", 100, 0, "all"],
        [4, "kill -9", "serving", "training, train_candidates +1.5 s", "-", 10, 90, "not: no answer is lost, x"],
        [5, "nothing (kill -9)", "task", "training +1.5 s", "-", 0, 0, "not: it was done"],
    ]


def test_the_longest_time_of_each_kind_counts() -> None:
    assert longest_seconds([SLOWER, WELL, PAUSED, BROKEN]) == {"SIGSTOP task": 3.0, "kill -9 serving": 20.0}


def test_a_failure_says_the_round_the_seed_and_where_the_logs_are(settings: PlatformSettings) -> None:
    here = settings.model_copy(update={"state_dir": Path("/s")})
    assert failures([WELL, BROKEN, PAUSED], "mlops chaos", here) == (
        "round 4: no answer is lost: 2 lost\nround 4: x: y\nthe same rounds again: mlops chaos\nthe logs: /s/log"
    )
    assert "`docker compose logs --timestamps SERVICE`" in failures(
        [BROKEN], "mlops chaos", here.model_copy(update={"mode": "docker"})
    )
    assert failures([WELL, PAUSED], "mlops chaos", here) == ""


def test_as_data_it_is_whole() -> None:
    found = content([WELL, NOTHING], 7)
    assert found["seed"] == 7
    assert found["held"] is False
    assert found["longest_seconds_to_healthy"] == {"kill -9 serving": 12.3}
    assert found["rounds"] == [
        {
            "round": 1, "act": "kill -9", "target": "serving", "work": "training", "step": "train_candidates",
            "delay": 1.5, "victim": "process 7 of serving", "seconds": 12.34, "answers": 240, "refusals": 9,
            "broken": {},
        },
        {
            "round": 5, "act": "kill -9", "target": "task", "work": "training", "step": None, "delay": 1.5,
            "victim": None, "seconds": None, "answers": 0, "refusals": 0,
            "broken": {"it was done": "no process of the kind task came along"},
        },
    ]  # fmt: skip
    assert content([WELL], 7)["held"] is True
