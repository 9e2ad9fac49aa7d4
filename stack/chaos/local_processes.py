"""Processes of this machine: the supervisor, its children and theirs, as far as they bear the installation's mark."""

import contextlib
import datetime as dt
import signal
from collections.abc import Callable, Collection
from typing import TypeVar
from xmlrpc.client import Fault

import psutil

from mlops_platform.errors import PlatformError
from mlops_platform.services.table import is_usable, services
from mlops_platform.settings import PlatformSettings
from stack.chaos.processes import ProcessGone, RunningProcess
from stack.logs import SUPERVISOR
from stack.supervision import Supervisor, marked_processes

Found = TypeVar("Found")


class LocalProcesses:
    """Of an installation whose services are processes of this machine."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._table = {one.name: one for one in services(settings) if one.usable is not None}

    def services(self) -> tuple[str, ...]:
        return tuple(sorted([*self._table, SUPERVISOR]))

    def of(self, service: str) -> list[RunningProcess]:
        pid = self._leader(service)
        if pid is None:
            return []
        try:
            leader = psutil.Process(pid)
            # what supervisord has started are services of their own
            children = [] if service == SUPERVISOR else leader.children(recursive=True)
            family = {one.pid for one in (leader, *children)}
        except psutil.NoSuchProcess:
            return []
        found = []
        for process in marked_processes(self._settings):
            if process.pid in family:
                with contextlib.suppress(psutil.Error):  # gone meanwhile
                    found.append(_running(service, process, leads=process.pid == pid))
        return found

    def send(self, process: RunningProcess, signum: signal.Signals) -> None:
        try:
            found = psutil.Process(process.pid)
            if found.create_time() != process.started:
                raise ProcessGone(process)
            found.send_signal(signum)
        except psutil.NoSuchProcess:
            raise ProcessGone(process) from None

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        return any(map(_runs, processes))

    def is_usable(self, service: str, since: dt.datetime) -> bool:
        if service == SUPERVISOR:
            return self._runs_everything()
        return is_usable(self._table[service], self._settings, since)

    def _runs_everything(self) -> bool:
        """Whether supervisord has started all services, and none has just ended."""
        running = self._asked(Supervisor(self._settings).processes)
        return all(running[name].state == "RUNNING" for name in self._table)

    def _leader(self, service: str) -> int | None:
        supervisor = Supervisor(self._settings)
        if service == SUPERVISOR:
            return self._asked(supervisor.pid)
        return self._asked(lambda: supervisor.process(service)).pid

    def _asked(self, question: Callable[[], Found]) -> Found:
        try:
            return question()
        except (OSError, Fault) as error:
            raise PlatformError(f"supervisord does not answer ({error})", remedy="start it with ./start.sh") from None


def _runs(process: RunningProcess) -> bool:
    try:
        found = psutil.Process(process.pid)
        same = bool(found.create_time() == process.started)
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _running(service: str, process: psutil.Process, *, leads: bool) -> RunningProcess:
    command = " ".join(process.cmdline()).strip()
    return RunningProcess(service, process.pid, process.create_time(), leads, command)
