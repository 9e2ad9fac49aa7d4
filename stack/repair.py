"""How a service that is stuck is started anew: its processes are killed, and what started them starts them again.

Nothing is stopped first and started afterwards, so a watcher that is killed in between leaves nothing stopped.
"""

import os
import signal
import uuid
from typing import Protocol
from xmlrpc.client import Fault

from mlops_platform.console import complain
from mlops_platform.files import write_text
from mlops_platform.services.health import restart_request
from mlops_platform.settings import PlatformSettings


class Repairer(Protocol):
    """Has services started anew."""

    def restart(self, service: str) -> bool:
        """Whether that was possible: a service that does not run now has nothing to be killed."""


class LocalRepairer:
    """For supervised processes: supervisord starts again whatever ends."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings

    def restart(self, service: str) -> bool:
        from stack.supervision import Supervisor  # noqa: PLC0415 - a container has no supervisor

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


class ContainerRepairer:
    """For containers: the health check in the service's own container reads the request and ends it (usable.sh)."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings

    def restart(self, service: str) -> bool:
        write_text(restart_request(self._settings, service), f"{uuid.uuid4()}\n")
        return True
