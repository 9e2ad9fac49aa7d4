"""A round from its beginning to what held: work and predictions under way, something done, everything looked at."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import sleep
from time import time as wall_clock

from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient
from mlops_platform.errors import PlatformError
from mlops_platform.services.health import AWAY_AFTER
from mlops_platform.settings import PlatformSettings
from stack.chaos.acts import Act
from stack.chaos.health import ailing, deadline, unwell
from stack.chaos.invariants import Observation, every_service_is_healthy, judged, name_of, the_run_succeeded
from stack.chaos.plan import KILL, Round
from stack.chaos.processes import TRAINING_RUN, Processes, ProcessGone, RunningProcess
from stack.chaos.targets import Target
from stack.chaos.traffic import Traffic, steady_traffic
from stack.chaos.waiting import SOON, remaining, until
from stack.chaos.witness import Witness
from stack.chaos.work import RunUnderWay

COMES_WITHIN = 45.0
"""For so many seconds after the run a process is still waited for: the log is published more often."""
GONE_WITHIN = 30.0
DONE = "it was done"
"""Stands beside the invariants: a round that did nothing proves nothing."""


@dataclass(frozen=True)
class Deed:
    """What was done to which process. Times are seconds since 1970: when it began, when the act was over, and when
    those that were to go were gone."""

    victim: RunningProcess
    began: float
    over: float
    gone: float


@dataclass(frozen=True)
class Outcome:
    """A round and what came of it. ``victim`` is None where nothing was done; ``seconds`` from the act's end until all
    was healthy, None where that did not come to be; ``broken``: what does not hold, and what was found."""

    round: Round
    victim: str | None = None
    seconds: float | None = None
    answers: int = 0
    refusals: int = 0
    broken: Mapping[str, str] = field(default_factory=dict)


class Chaos:
    """Rounds on one platform.

    Args:
        acts: what may be done, by the names that rounds have for it.

    Raises:
        PlatformError: the platform is not well, or has nothing to predict from: then nothing has been done.
    """

    def __init__(
        self, settings: PlatformSettings, use_case: str, processes: Processes, acts: Mapping[str, Act]
    ) -> None:
        self._settings = settings
        self._use_case = use_case
        self._processes = processes
        self._acts = acts
        found = self._ailing(dt.datetime.now(dt.UTC) - AWAY_AFTER)
        if found:
            raise PlatformError(
                f"the platform is not well before the first round: {'; '.join(found)}", remedy="see `mlops doctor`"
            )
        self._witness = Witness(settings, use_case)

    def outcomes(self, rounds: Iterator[Round]) -> Iterator[Outcome]:
        """One after another, each begun when the one before has ended; the last one is that after which the platform is
        not well."""
        for planned in rounds:
            outcome = self.outcome(planned)
            yield outcome
            if name_of(every_service_is_healthy) in outcome.broken:
                return

    def outcome(self, planned: Round) -> Outcome:
        """Do what is planned, wait until everything has come to its end, and judge."""
        with (
            AirflowClient(self._settings, patience=AWAY_SECONDS) as airflow,
            steady_traffic(self._settings, self._use_case, self._witness.ids) as traffic,
        ):
            try:
                run = RunUnderWay(self._settings, airflow, self._use_case, planned.work)
            except PlatformError as error:
                return Outcome(planned, broken={name_of(the_run_succeeded): str(error)})
            deed = self._do(planned, run)
            healthy_at = None if deed is None else self._healthy_at(deed, traffic)
            run_failure = run.failure()
            ill = [] if deed is None else remaining(lambda: self._ailing(_moment(deed.over)))
        if deed is None:
            broken = {DONE: f"no process of the kind {planned.target.name} came along"}
            if run_failure is not None:
                broken[name_of(the_run_succeeded)] = run_failure
            return Outcome(planned, broken=broken)
        killed = (deed.began, deed.gone) if planned.act == KILL and planned.target.holds_answers else None
        seen = self._seen(traffic, killed, healthy_at=healthy_at, ill=ill, run_failure=run_failure)
        return Outcome(
            planned,
            victim=str(deed.victim),
            seconds=None if healthy_at is None else healthy_at - deed.over,
            answers=len(traffic.answers),
            refusals=len(traffic.refusals),
            broken=judged(seen),
        )

    def _do(self, planned: Round, run: RunUnderWay) -> Deed | None:
        """None where no process of the kind came along before the run was over."""
        if planned.target.comes_and_goes:
            if self._next_victim(planned.target, run) is None:
                return None
        else:
            until(lambda: run.has_begun(planned.step))
        sleep(planned.delay)
        while (victim := self._next_victim(planned.target, run)) is not None:
            began = wall_clock()
            family = self._family(victim)
            try:
                self._acts[planned.act](self._processes, victim, planned.pause)
            except ProcessGone:
                continue
            over = wall_clock()
            if planned.act == KILL:
                until(lambda going=family: not self._any_runs(going), GONE_WITHIN, every=SOON)  # type: ignore[misc]
            return Deed(victim, began, over, gone=wall_clock())
        return None

    def _next_victim(self, target: Target, run: RunUnderWay) -> RunningProcess | None:
        """The one that is there, or comes until some time after the run; None where none does."""
        found: list[RunningProcess] = []

        def came() -> bool:
            found[:] = self._victims(target)
            return bool(found)

        until(lambda: came() or run.ended, every=SOON)
        if not found:
            until(came, COMES_WITHIN, every=SOON)
        return found[0] if found else None

    def _victims(self, target: Target) -> list[RunningProcess]:
        try:
            return [one for service in target.services for one in self._processes.of(service) if target.is_one(one)]
        except PlatformError:
            return []

    def _family(self, victim: RunningProcess) -> Sequence[RunningProcess]:
        """Those that end with it."""
        return self._processes.of(victim.service) if victim.leads else [victim]

    def _any_runs(self, processes: Sequence[RunningProcess]) -> bool:
        try:
            return self._processes.any_runs(processes)
        except PlatformError:
            return True

    def _healthy_at(self, deed: Deed, traffic: Traffic) -> float | None:
        """When the service of the victim and, by the watcher's report, all others were usable, and predictions were
        answered; None where that was not by the deadline."""
        since = _moment(deed.over)
        service = deed.victim.service

        def healthy() -> bool:
            return (
                traffic.answered_since(deed.gone)
                and not ailing(self._settings, since)
                and (service == TRAINING_RUN or not unwell(self._processes, service, since))
            )

        return wall_clock() if until(healthy, deadline(self._settings)) else None

    def _ailing(self, since: dt.datetime) -> list[str]:
        """What is not well, by signs of life after ``since``: asked of the watcher's report and of every service."""
        found = ailing(self._settings, since)
        if not found:
            ill = (name for name in self._processes.services() if unwell(self._processes, name, since))
            found = [f"{name} is not usable" for name in ill]
        return found

    def _seen(
        self,
        traffic: Traffic,
        killed: tuple[float, float] | None,
        *,
        healthy_at: float | None,
        ill: Sequence[str],
        run_failure: str | None,
    ) -> Observation:
        answers, bound = traffic.answers, self._settings.serving_log_bound_seconds
        rows = self._witness.rows(answers, killed, bound)
        seen = Observation(
            answers=answers,
            wrong=traffic.wrong,
            refusals=traffic.refusals,
            healthy_at=healthy_at,
            ailing=ill,
            killed=killed,
            bound=bound,
            rows=rows,
            logged=self._witness.logged,
            replays=self._witness.replays(answers, rows),
            unfit=self._witness.unfit(answers),
            run_failure=run_failure,
            disagreements=self._witness.disagreements(),
        )
        self._witness.remember(answers, rows)
        return seen


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
