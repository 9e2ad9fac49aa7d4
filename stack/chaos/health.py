"""Whether the platform is well again, by its watcher's report and by what the killed service says itself."""

import datetime as dt

from mlops_platform.errors import PlatformError
from mlops_platform.services.health import read_report
from mlops_platform.services.table import WATCHER, watched_services
from mlops_platform.settings import PlatformSettings
from stack.chaos.processes import Processes

LONGEST_STANDSTILL = 90.0
"""Seconds: what does not move is mended by the watcher before that."""


def deadline(settings: PlatformSettings) -> float:
    """Seconds within which every service is usable again."""
    return float(max(service.deadline for service in watched_services(settings)))


def ailing(settings: PlatformSettings, since: dt.datetime) -> list[str]:
    """What the watcher saw after ``since`` that is not well; the watcher itself where it has not looked since."""
    try:
        report = read_report(settings)
    except PlatformError as error:
        return [error.what]
    if report is None or report.at <= since:
        return [f"{WATCHER} has not looked since {since:%H:%M:%S} UTC"]
    return [
        *(f"{one.name} is not usable for {one.seconds:.0f} s" for one in report.services if not one.usable),
        *(f"{one.subject} {one.what}" for one in report.standstills if one.seconds > LONGEST_STANDSTILL),
    ]


def unwell(processes: Processes, service: str, since: dt.datetime) -> bool:
    """Whether a service has no process of its own now, or is not usable by signs of life after ``since``."""
    try:
        return not any(one.leads for one in processes.of(service)) or not processes.is_usable(service, since)
    except PlatformError:
        return True
