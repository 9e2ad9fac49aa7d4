"""Starting and stopping the services of one installation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from mlops_platform.console import waiting
from mlops_platform.errors import PlatformError
from mlops_platform.services.table import Service, is_usable, services
from mlops_platform.settings import PlatformSettings
from stack.logs import last_lines, log_file
from stack.supervision import STOP_SECONDS, Supervisor, marked_processes

Report = Callable[[str], None]

_POLL_SECONDS = 0.25
_LOG_LINES_SHOWN = 25
_STARTS_TRIED = 3


@dataclass
class _Progress:
    """How far the start has come: when each service was started, which are usable, and at which times those were
    started that ended at once."""

    started: dict[str, float] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    usable: set[str] = field(default_factory=set)
    died: dict[str, set[int]] = field(default_factory=dict)


def start_services(settings: PlatformSettings, supervisor: Supervisor, report: Report) -> None:
    """Starts every service as soon as those it depends on are usable, and returns when all are.

    Steps in the background are started last and left to themselves.

    Raises:
        PlatformError: a service ended, or was not usable by its deadline; with the end of its log.
    """
    table = services(settings)
    awaited = [service for service in table if not service.in_background]
    progress = _Progress()
    with waiting(lambda: ", ".join(name for name in list(progress.started) if name not in progress.usable)):
        while len(progress.usable) < len(awaited):
            for service in awaited:
                _advance(settings, supervisor, service, progress, report)
            time.sleep(_POLL_SECONDS)
    for service in table:
        if service.in_background:
            supervisor.start(service.name)


def _advance(
    settings: PlatformSettings, supervisor: Supervisor, service: Service, progress: _Progress, report: Report
) -> None:
    name = service.name
    if name in progress.usable:
        return
    if name not in progress.started:
        if progress.usable.issuperset(service.depends_on):
            progress.started[name], progress.since[name] = time.monotonic(), datetime.now(UTC)
            supervisor.start(name)
        return
    seconds = time.monotonic() - progress.started[name]
    if _has_ended_well(settings, supervisor, service, progress) or is_usable(service, settings, progress.since[name]):
        progress.usable.add(name)
        report(f"  {name:<22} ready after {time.monotonic() - progress.started[name]:5.1f} s")
    elif seconds > service.deadline:
        raise _failure(settings, service, f"is not usable {service.deadline} s after its start")


def _has_ended_well(settings: PlatformSettings, supervisor: Supervisor, service: Service, progress: _Progress) -> bool:
    """Whether a step that runs once is done. A step that failed raises, and so does a service that keeps ending, though
    supervisord will go on starting it."""
    process = supervisor.process(service.name)
    if process.state == "BACKOFF":
        died = progress.died.setdefault(service.name, set())
        died.add(process.started)
        if len(died) >= _STARTS_TRIED:
            raise _failure(settings, service, "ends as often as it is started")
    if process.state == "EXITED" and service.usable is None and process.exit_status != 0:
        raise _failure(settings, service, f"ended with status {process.exit_status}")
    return process.state == "EXITED" and service.usable is None


def _failure(settings: PlatformSettings, service: Service, what: str) -> PlatformError:
    path = log_file(settings, service.name)
    lines = last_lines(path, _LOG_LINES_SHOWN) if path.exists() else []
    end = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
    return PlatformError(f"{service.name} {what}. The end of {path}:\n{end}", remedy="mend it and run ./start.sh again")


def stop_services(settings: PlatformSettings) -> int:
    """Stops every process of this installation; returns how many there were."""
    processes = marked_processes(settings)
    supervisor = Supervisor.running(settings)
    if supervisor is not None:
        supervisor.shutdown()
        psutil.wait_procs(processes, timeout=STOP_SECONDS + 10)
    # Orphans of a supervisord that was killed, and what escaped its process groups.
    left = marked_processes(settings)
    for process in left:
        _signal(process.terminate)
    _, left = psutil.wait_procs(left, timeout=STOP_SECONDS)
    for process in left:
        _signal(process.kill)
    psutil.wait_procs(left, timeout=STOP_SECONDS)
    return len(processes)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
