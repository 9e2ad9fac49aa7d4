"""How supervised processes are started anew: supervisord starts again whatever ends, and is itself revived."""

import contextlib
import os
import signal
from xmlrpc.client import Fault

import psutil

from mlops_platform.console import complain
from mlops_platform.settings import PlatformSettings
from stack.bare.installation import is_running
from stack.revival import Revival
from stack.supervision import Supervisor, leftovers

ANSWERS_WITHIN = 5.0
"""Seconds that supervisord may take, which does nothing but wait: the watcher has to look on while it is stuck."""


class LocalRepairer:
    """The repairer of local processes. What cannot be done now is said, and tried again at the next look."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._revival = Revival(settings)
        self._tidied: dict[str, int | None] = {}

    def tidy(self) -> None:
        """Looks for leftovers where a service has another process than at the last look; all are where supervisord is
        gone."""
        if not is_running(self._settings.state_dir):
            self._revival.begin()
            return
        try:
            current = Supervisor(self._settings, patience=ANSWERS_WITHIN).processes()
        except (OSError, Fault) as error:
            complain(f"error: supervisord does not answer, so nothing that ends is started again: {error}")
            return
        pids = {name: process.pid for name, process in current.items()}
        if pids != self._tidied:
            for process in leftovers(self._settings, current):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._tidied = pids

    def restart(self, service: str) -> bool:
        """Also starts what nobody has: whoever brought the services up may have been killed at it."""
        try:
            supervisor = Supervisor(self._settings, patience=ANSWERS_WITHIN)
            process = supervisor.process(service)
            if process.state == "STOPPED":
                supervisor.start(service)
                return True
            if process.pid is None:
                return False
            # what is stuck, or stopped by a signal, hears nothing else; a service leads a process group of its own
            os.killpg(process.pid, signal.SIGKILL)
        except (OSError, Fault) as error:  # supervisord is away, or the service ended meanwhile
            complain(f"error: {service} cannot be started anew: {error}")
            return False
        return True
