"""A step that is done again and again, and what keeps it from being done, for whoever asks."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 60.0
LONGEST_STEP_SECONDS = 60.0


class FollowingTask:
    """Ends only when it is cancelled. A step that fails in a way that nobody foresaw is tried again, ever more seldom.

    Args:
        what: names the task in logs and in readiness.
        step: handles by itself what is to be expected.
        seconds: between the end of a step and the next one.
    """

    def __init__(self, what: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        self.what = what
        self.tried = asyncio.Event()
        """Set once the first step is over, however it ended."""
        self._step = step
        self._seconds = seconds
        self._failed: str | None = None
        self._begun: float | None = None

    @property
    def failure(self) -> str | None:
        """Why nothing is followed at present; None where all is well."""
        under_way = 0.0 if self._begun is None else time.monotonic() - self._begun
        if under_way > LONGEST_STEP_SECONDS:
            return f"a step has been under way for {under_way:.0f} s"
        return self._failed

    async def run(self) -> None:
        """Do the step at once, and then for ever."""
        pause = self._seconds
        while True:
            self._begun = time.monotonic()
            try:
                await self._step()
            except Exception as error:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
                self._failed = f"{type(error).__name__}: {error}; it is tried again"
                logger.exception("following failed", extra={"following": self.what, "again_after_seconds": pause})
            else:
                pause, self._failed = self._seconds, None
            finally:
                self._begun = None
            self.tried.set()
            await asyncio.sleep(pause)
