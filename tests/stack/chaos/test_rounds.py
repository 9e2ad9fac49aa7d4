"""A round beside a platform that does what it is told: what is done to whom and when, and what is judged."""

import contextlib
import datetime as dt
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos import evidence, rounds, waiting, witness
from stack.chaos.acts import Act
from stack.chaos.plan import KILL, Round
from stack.chaos.processes import Processes, ProcessGone, RunningProcess
from stack.chaos.rounds import Chaos, Outcome
from stack.chaos.targets import Target
from stack.chaos.traffic import Answer, Refusal, Traffic
from stack.chaos.work import Work

SERVER = RunningProcess("serving", 7, 1.0, True, "python -m serving")
AGAIN = RunningProcess("serving", 9, 2.0, True, "python -m serving")
SERVING = Target("serving", ("serving",), holds_answers=True)


@dataclass
class Platform:
    """A platform whose service is started again when it is killed; in the place of its processes and of its run."""

    running: list[RunningProcess] = field(default_factory=lambda: [SERVER])
    steps: list[str] = field(default_factory=list)
    usable: bool = True
    ended: bool = False
    run_failure: str | None = None
    start_failure: str | None = None
    ill: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    disagreements: list[list[str]] = field(default_factory=lambda: [["known"]])
    traffic: Traffic = field(default_factory=Traffic)

    # processes
    def services(self) -> tuple[str, ...]:
        return ("serving",)

    def of(self, service: str) -> Sequence[RunningProcess]:
        return [one for one in self.running if one.service == service]

    def send(self, process: RunningProcess, signum: signal.Signals) -> None:
        self.steps.append(f"{signum.name} {process.pid}")
        if process not in self.running:
            raise ProcessGone(process)
        self.running = [AGAIN]

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        return not set(processes).isdisjoint(self.running)

    def is_usable(self, service: str, since: dt.datetime) -> bool:
        return self.usable

    # the run
    def has_begun(self, task: str) -> bool:
        self.steps.append(task)
        return True

    def failure(self) -> str | None:
        return self.run_failure

    def ask(self, _settings: PlatformSettings, question: Callable[..., Any], *_: str) -> Any:
        if question is evidence.disagreements:
            return self.disagreements.pop(0) if len(self.disagreements) > 1 else self.disagreements[0]
        return {evidence.ids: ["5"], evidence.logged: self.rows, evidence.unfit: {}}[question]


def answer(request_id: str, at: float) -> Answer:
    return Answer(at, request_id, "5", 1, 0.75, None, "champion", "3", "s1")


def replay(request_id: str) -> dict[str, Any]:
    record = {"served": True, "snapshot": "s1", "model_version": "3", "features_from": "snapshot"}
    return {"request_id": request_id, "answers": [{**record, "replayed": {"prediction": 1, "probability": 0.75}}]}


@pytest.fixture
def platform(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> Platform:
    platform = Platform()
    clock = iter(range(1000, 100_000))

    class Replays:
        def __init__(self, _settings: PlatformSettings) -> None: ...
        def replay(self, request_id: str) -> dict[str, Any]:
            return replay(request_id)

    @contextlib.contextmanager
    def traffic(*_: object) -> Iterator[Traffic]:
        yield platform.traffic

    def start(*_: object) -> Platform:
        if platform.start_failure:
            raise PlatformError(platform.start_failure, remedy="wait")
        return platform

    def now() -> float:
        """A second later each time; half a second after it somebody gets a prediction."""
        moment = float(next(clock))
        platform.traffic.answers.append(answer(f"a{moment:.0f}", moment + 0.5))
        platform.rows[platform.traffic.answers[-1].request_id] = 1
        return moment

    monkeypatch.setattr(rounds, "steady_traffic", traffic)
    monkeypatch.setattr(rounds, "RunUnderWay", start)
    monkeypatch.setattr(witness, "PredictionService", Replays)
    monkeypatch.setattr(evidence, "ask", platform.ask)
    monkeypatch.setattr(rounds, "ailing", lambda _settings, _since: platform.ill)
    monkeypatch.setattr(rounds, "deadline", lambda _settings: 0.05)
    monkeypatch.setattr(rounds, "wall_clock", now)
    for module, name in (
        *((rounds, name) for name in ("COMES_WITHIN", "GONE_WITHIN")),
        *((waiting, "CALM_WITHIN"), (witness, "PUBLISHED_WITHIN")),
    ):
        monkeypatch.setattr(module, name, 0.05)
    monkeypatch.setattr(waiting, "sleep", lambda _seconds: time.sleep(0.001))
    return platform


def kill(processes: Processes, victim: RunningProcess, seconds: float) -> None:
    assert seconds == 5
    processes.send(victim, signal.SIGKILL)


def planned(target: Target = SERVING, act: str = KILL) -> Round:
    return Round(4, target, act, Work.FEATURES, "compute_features", delay=0, pause=5)


def outcome(settings: PlatformSettings, platform: Platform, one: Round | None = None, act: Act = kill) -> Outcome:
    (found,) = Chaos(settings, "credit_risk", platform, {KILL: act, "other": act}).outcomes(iter([one or planned()]))
    return found


def test_a_service_is_killed_at_its_step_and_all_is_judged(settings: PlatformSettings, platform: Platform) -> None:
    found = outcome(settings, platform)
    assert platform.steps == ["compute_features", "SIGKILL 7"]
    assert (found.round, found.victim, found.broken) == (planned(), "process 7 of serving", {})
    # the clock goes on by a second when it is read: at the act's end, when the process is gone, when all is healthy
    assert found.seconds == 2.0
    assert found.answers == len(platform.traffic.answers) > 1


def test_what_broke_is_in_the_outcome(settings: PlatformSettings, platform: Platform) -> None:
    platform.run_failure = "the task train failed"
    platform.traffic.wrong.append("GET / was answered 404")
    platform.disagreements = [["known"], ["known", "hive: another snapshot"]]
    platform.traffic.refusals.append(Refusal(1.0, "503"))
    found = outcome(settings, platform)
    assert found.broken == {
        "no answer is wrong": "1 wrong answers: GET / was answered 404",
        "stores agree": "1 disagreements: hive: another snapshot",
        "the run succeeded": "the task train failed",
    }
    assert found.refusals == 1


def test_a_service_that_does_not_come_back_is_not_healthy(settings: PlatformSettings, platform: Platform) -> None:
    def for_good(processes: Processes, victim: RunningProcess, _seconds: float) -> None:
        processes.send(victim, signal.SIGKILL)
        platform.usable = False

    found = outcome(settings, platform, act=for_good)
    assert found.seconds is None
    assert found.broken == {"every service is healthy": "1 not well: serving is not usable"}


def test_after_a_round_that_leaves_the_platform_ill_there_is_no_other(
    settings: PlatformSettings, platform: Platform
) -> None:
    chaos = Chaos(settings, "credit_risk", platform, {KILL: kill})
    assert len(list(chaos.outcomes(iter([planned()] * 2)))) == 2
    platform.usable = False
    assert len(list(chaos.outcomes(iter([planned()] * 2)))) == 1


def test_what_the_watcher_says_of_another_service_counts(settings: PlatformSettings, platform: Platform) -> None:
    def spoil(processes: Processes, victim: RunningProcess, _seconds: float) -> None:
        processes.send(victim, signal.SIGKILL)
        platform.ill = ["hive-server is not usable for 3 s"]

    found = outcome(settings, platform, act=spoil)
    assert found.broken == {"every service is healthy": "1 not well: hive-server is not usable for 3 s"}


@pytest.mark.parametrize(
    ("target", "act", "lost"),
    [(SERVING, KILL, False), (SERVING, "other", True), (Target("other", ("serving",)), KILL, True)],
)
def test_records_may_be_missing_where_who_held_them_was_killed(
    settings: PlatformSettings, platform: Platform, target: Target, act: str, lost: bool
) -> None:
    def with_a_last_answer(processes: Processes, victim: RunningProcess, _seconds: float) -> None:
        last = platform.traffic.answers[-1]
        platform.traffic.answers.append(answer("last", last.at))
        processes.send(victim, signal.SIGKILL)

    found = outcome(settings, platform, planned(target, act), with_a_last_answer)
    assert found.broken == ({"no answer is lost": "1 answers that are not in the log: last"} if lost else {})


def test_what_was_logged_in_an_earlier_round_has_to_stay(settings: PlatformSettings, platform: Platform) -> None:
    chaos = Chaos(settings, "credit_risk", platform, {KILL: kill})
    assert chaos.outcome(planned()).broken == {}
    first = platform.traffic.answers[0].request_id
    platform.traffic = Traffic()
    del platform.rows[first]
    assert chaos.outcome(planned()).broken == {"no answer is lost": f"1 answers that are not in the log: {first}"}


def test_where_no_process_came_along_nothing_was_proven(settings: PlatformSettings, platform: Platform) -> None:
    platform.ended = True
    found = outcome(settings, platform, planned(Target("task", ("airflow-scheduler",), "airflow", comes_and_goes=True)))
    assert (found.victim, found.broken) == (None, {"it was done": "no process of the kind task came along"})


def test_a_process_that_comes_and_goes_is_waited_for(
    settings: PlatformSettings, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = RunningProcess("airflow-scheduler", 30, 3.0, False, "airflow worker -- 1")
    scheduler = RunningProcess("airflow-scheduler", 7, 1.0, True, "airflow scheduler")
    looks = [[scheduler], [scheduler], [scheduler, task]]
    monkeypatch.setattr(platform, "of", lambda _service: looks.pop(0) if len(looks) > 1 else looks[0])
    done: list[RunningProcess] = []
    kind = Target("task", ("airflow-scheduler",), "airflow worker -- ", comes_and_goes=True)
    found = outcome(settings, platform, planned(kind, "other"), lambda _, victim, __: done.append(victim))
    assert (found.victim, done, platform.steps) == ("process 30 of airflow-scheduler", [task], [])


def test_a_process_that_ended_by_itself_is_followed_by_the_next(settings: PlatformSettings, platform: Platform) -> None:
    def late(processes: Processes, victim: RunningProcess, _seconds: float) -> None:
        if victim == SERVER:
            platform.running = [AGAIN]
            raise ProcessGone(victim)
        processes.send(victim, signal.SIGKILL)

    found = outcome(settings, platform, act=late)
    assert (found.victim, platform.steps) == ("process 9 of serving", ["compute_features", "SIGKILL 9"])


def test_a_run_that_cannot_be_started_did_not_succeed(settings: PlatformSettings, platform: Platform) -> None:
    platform.start_failure = "Airflow answered 500"
    found = outcome(settings, platform)
    assert (found.victim, found.broken) == (
        None,
        {"the run succeeded": "Airflow answered 500. Remedy: wait"},
    )


def test_on_a_platform_that_is_not_well_nothing_is_done(settings: PlatformSettings, platform: Platform) -> None:
    platform.usable = False
    with pytest.raises(PlatformError, match="not well before the first round: serving is not usable"):
        outcome(settings, platform)
    platform.ill = ["mlflow is not usable for 40 s"]
    with pytest.raises(PlatformError, match="not well before the first round: mlflow is not usable for 40 s"):
        outcome(settings, platform)
    assert platform.steps == []
