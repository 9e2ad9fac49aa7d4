"""What follows from what the watcher saw: for how long things have been as they are, and what is to be restarted.

Nothing here asks a service or the clock. Time counts only while it was watched: a machine that slept, or a watcher that
was away, makes nothing overdue.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlops_platform.services.health import HealthReport, Repair, ServiceHealth, Standstill, UseCaseStatus
from mlops_platform.services.table import API_SERVER, SCHEDULER, Service

STUCK_SECONDS = 300.0
"""For how long a service that was usable may not be, before it is started anew. One that ended is started again by what
started it: this is longer than that takes on a machine that has ten times too much to do (measured: 150 s)."""
STANDSTILL_SECONDS = 45.0
"""For how long a task or a run may wait for nothing before the scheduler is started anew."""
LONGEST_STEP = 15.0
"""Seconds that one round counts for at most."""
MEMORY = dt.timedelta(hours=1)
"""Each repair within it doubles the patience with the same service."""
REPAIRS_KEPT = 50


@dataclass(frozen=True)
class Seen:
    """One look at everything: services by name; what does not move (subject and what), None where nobody could tell."""

    usable: Mapping[str, bool]
    standing_still: Mapping[str, str] | None
    use_cases: tuple[UseCaseStatus, ...]


def next_report(
    before: HealthReport | None, seen: Seen, table: Sequence[Service], now: dt.datetime, elapsed: float
) -> HealthReport:
    """The report after a look, ``elapsed`` seconds after the one before."""
    step = min(elapsed, LONGEST_STEP)
    known = {service.name: service for service in before.services} if before else {}
    waited = {one.subject: one.seconds for one in before.standstills} if before else {}
    airflow_moves = seen.usable.get(API_SERVER, False) and seen.usable.get(SCHEDULER, False)
    still = (seen.standing_still or {}) if airflow_moves else {}
    return HealthReport(
        at=now,
        services=tuple(_service_health(known.get(one.name), one, seen.usable, step) for one in table),
        standstills=tuple(
            Standstill(subject=subject, what=what, seconds=waited[subject] + step if subject in waited else 0.0)
            for subject, what in still.items()
        ),
        repairs=before.repairs if before else (),
        use_cases=seen.use_cases,
    )


def _service_health(
    before: ServiceHealth | None, service: Service, usable: Mapping[str, bool], step: float
) -> ServiceHealth:
    now = usable[service.name]
    # nobody can tell how a service is while another one, through which it is asked, is away
    can_tell = now or all(usable.get(name, True) for name in service.asked_through)
    goes_on = before is not None and before.usable == now and can_tell
    return ServiceHealth(
        name=service.name,
        usable=now,
        seconds=before.seconds + step if before is not None and goes_on else 0.0,
        was_usable=now or (before is not None and before.was_usable),
    )


def overdue(report: HealthReport, table: Sequence[Service]) -> dict[str, str]:
    """The services to start anew, each with the reason."""
    deadlines = {service.name: float(service.deadline) for service in table}
    found = {}
    for service in report.services:
        patience = STUCK_SECONDS if service.was_usable else deadlines[service.name]
        if not service.usable and service.seconds > _doubled(patience, report, service.name):
            found[service.name] = f"it was not usable for {service.seconds:.0f} s"
    longest = max(report.standstills, key=lambda one: one.seconds, default=None)
    if longest is not None and longest.seconds > _doubled(STANDSTILL_SECONDS, report, SCHEDULER):
        found.setdefault(SCHEDULER, f"{longest.subject} {longest.what} for {longest.seconds:.0f} s")
    return found


def _doubled(patience: float, report: HealthReport, service: str) -> float:
    lately = sum(one.service == service and report.at - one.at < MEMORY for one in report.repairs)
    return float(patience * 2**lately)


def after_repairs(report: HealthReport, repaired: Mapping[str, str]) -> HealthReport:
    """The report once these services were started anew: what was waited for begins again."""
    repairs = [*report.repairs, *(Repair(at=report.at, service=name, why=why) for name, why in repaired.items())]
    return report.model_copy(
        update={
            "services": tuple(_begun_again(report.services, repaired)),
            "standstills": () if SCHEDULER in repaired else report.standstills,
            "repairs": tuple(repairs[-REPAIRS_KEPT:]),
        }
    )


def _begun_again(services: Sequence[ServiceHealth], repaired: Mapping[str, str]) -> Iterator[ServiceHealth]:
    for one in services:
        yield one.model_copy(update={"seconds": 0.0}) if one.name in repaired else one
