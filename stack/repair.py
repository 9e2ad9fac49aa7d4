"""How a service that is stuck is started anew: its processes are killed, and what started them starts them again.

Nothing is stopped first and started afterwards, so a watcher that is killed in between leaves nothing stopped.
"""

import uuid
from typing import Protocol

from mlops_platform.files import write_text
from mlops_platform.services.health import restart_request
from mlops_platform.settings import PlatformSettings


class Repairer(Protocol):
    """Has services started anew."""

    def tidy(self) -> None:
        """Ends what services left behind that were killed: it may hold their ports, or go on answering for them."""

    def restart(self, service: str) -> bool:
        """Whether that was possible: a service that does not run now has nothing to be killed."""


class ContainerRepairer:
    """For containers: the health check in the service's own container reads the request and ends it (usable.sh)."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings

    def tidy(self) -> None:
        """A container ends with all that is in it."""

    def restart(self, service: str) -> bool:
        write_text(restart_request(self._settings, service), f"{uuid.uuid4()}\n")
        return True
