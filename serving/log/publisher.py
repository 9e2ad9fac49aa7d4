"""Starts ``serving.log.publish``, a process of its own that needs libraries which a worker does without."""

import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mlops_platform.settings import PlatformSettings
from serving.log.segment import CLOSED

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 60.0


def publish_command(settings: PlatformSettings) -> list[str]:
    """The command that publishes what this installation's workers have logged."""
    return [
        *(sys.executable, "-m", "serving.log.publish", "--state-dir", str(settings.state_dir)),
        *("--hiveserver2-host", settings.hiveserver2_host, "--hiveserver2-port", str(settings.hiveserver2_port)),
    ]


class Publisher:
    """One worker's publications, one at a time: where there are closed segments, and again where one failed.

    ``failure`` says that the last one failed. Called from the writer's thread alone.
    """

    def __init__(self, folder: Path, command: Sequence[str], retry_seconds: float) -> None:
        self.failure: str | None = None
        self._folder = folder
        self._command = command
        self._retry_seconds = retry_seconds
        self._pause = retry_seconds
        self._next_look = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def segment_closed(self) -> None:
        """There is something to publish now."""
        self._next_look = 0.0

    def keep_up(self) -> None:
        """See how the last publication ended, and start the next one where there is something to publish."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            self._note_end(status)
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._retry_seconds
        if self.failure is not None or any(self._folder.glob(f"*{CLOSED}")):
            self.start()

    def start(self) -> None:
        """Start one, also beside one that runs: only one of them publishes, and it looks again when it is done."""
        try:
            self._process = subprocess.Popen(self._command, start_new_session=True)
        except OSError as error:
            self._note_failure(f"no publication of the prediction log can be started: {error.strerror}")

    def _note_end(self, status: int) -> None:
        if status == 0:
            self.failure, self._pause = None, self._retry_seconds
        else:
            self._note_failure(
                f"the last publication of the prediction log ended with status {status}: its log says why"
            )

    def _note_failure(self, failure: str) -> None:
        """Told until a publication has ended well, which is tried after a pause that grows."""
        logger.error(failure, extra={"next_try_in": self._pause})
        self.failure = failure
        self._next_look = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
