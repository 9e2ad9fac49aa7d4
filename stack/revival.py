"""How supervisord comes back that was killed: the watcher, which outlives it, has everything started anew.

Whoever comes after it cannot take over the processes that it left behind: they are ended first. The two start each
other again, so only what ends both at once ends the platform.
"""

import os
import subprocess
import sys
import time

from mlops_platform.services.table import WATCHER
from mlops_platform.settings import PlatformSettings
from stack.logs import SUPERVISOR, log_file

PAUSE_SECONDS = 15.0
"""From one try to the next, where one fails or another start is under way."""
_OF_SERVICES = "SUPERVISOR_"


class Revival:
    """One installation's. It may be begun again and again: one child at a time does the work (``stack revive``)."""

    def __init__(self, settings: PlatformSettings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self._next = time.monotonic()

    def begin(self) -> None:
        """Starts the child, which says what it does in supervisord's log.

        The new watcher ends the old one, as it does with all that is left over.
        """
        if (self._child is not None and self._child.poll() is None) or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE_SECONDS
        # supervisord read what this process says: to say something more would be an error
        sys.stdout = sys.stderr = log_file(self._settings, WATCHER).open("a", encoding="utf-8", buffering=1)
        with log_file(self._settings, SUPERVISOR).open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "stack", "revive", str(os.getpid())],
                cwd=self._settings.project_root,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _environment(self) -> dict[str, str]:
        """That of the services; but the child is no part of this one, with which it would be ended."""
        given = {name: value for name, value in os.environ.items() if not name.startswith(_OF_SERVICES)}
        return {**given, "MLOPS_SPARK_WORKERS": str(self._settings.spark_workers)}
