"""How supervised processes are started anew: supervisord starts again whatever ends."""

import contextlib
import os
import signal
from xmlrpc.client import Fault

import psutil

from mlops_platform.console import complain
from mlops_platform.settings import PlatformSettings
from stack.supervision import Supervisor, leftovers


class LocalRepairer:
    """The repairer of local processes. What cannot be done now is said, and tried again at the next look."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._tidied: dict[str, int | None] = {}

    def tidy(self) -> None:
        """Looks for leftovers where a service has another process than at the last look."""
        try:
            current = Supervisor(self._settings).processes()
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
        try:
            pid = Supervisor(self._settings).process(service).pid
            if pid is None:
                return False
            # what is stuck, or stopped by a signal, hears nothing else; a service leads a process group of its own
            os.killpg(pid, signal.SIGKILL)
        except (OSError, Fault) as error:  # supervisord is away, or the service ended meanwhile
            complain(f"error: {service} cannot be started anew: {error}")
            return False
        return True
