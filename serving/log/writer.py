"""The thread that brings queued records to disk, closes segments that are old enough and has them published."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from serving.log.publisher import Publisher
from serving.log.queue import RecordQueue
from serving.log.segment import Segment

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""For this long a writer that is stopped goes on trying to write what was answered."""
_LAST_WRITE_SECONDS = 2.0


class Writer:
    """Writes until it is stopped. No failure ends it: each step is logged, told by ``failure`` and tried again."""

    def __init__(self, folder: Path, queue: RecordQueue, publisher: Publisher | None) -> None:
        self._folder = folder
        self._queue = queue
        self._publisher = publisher
        self._segment: Segment | None = None
        self._failures: dict[str, str] = {}
        self._give_up_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)

    @property
    def died(self) -> bool:
        """Whether the thread has ended though nobody stopped it."""
        return self._thread.ident is not None and self._give_up_at is None and not self._thread.is_alive()

    @property
    def failure(self) -> str | None:
        """What does not work now, in words; None where all does."""
        failures = list(self._failures.values())
        if self.died:
            failures.append("the thread that writes the prediction log has ended; restart the service")
        if self._publisher is not None and self._publisher.failure is not None:
            failures.append(self._publisher.failure)
        return "; ".join(failures) or None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when all is written, closed and being published, or could not be in time."""
        self._give_up_at = time.monotonic() + PATIENCE_SECONDS
        self._queue.wake()
        self._thread.join(PATIENCE_SECONDS + _LAST_WRITE_SECONDS)
        if self._queue.queued:
            logger.error("prediction log: stopped before all was written", extra={"records": self._queue.queued})

    def _run(self) -> None:
        while True:
            self._queue.wait()
            give_up_at = self._give_up_at
            lines = self._queue.take()
            written = not lines or self._attempt("write to", partial(self._write, lines))
            if give_up_at is not None and (written or time.monotonic() >= give_up_at):
                break
            if self._segment is not None and self._is_old(self._segment):
                self._attempt("close a segment of", partial(self._close, self._segment))
            if self._publisher is not None:
                self._attempt("publish", self._publisher.keep_up)
        if self._segment is not None:
            self._attempt("close a segment of", partial(self._close, self._segment))
            if self._publisher is not None:
                self._attempt("publish", self._publisher.start)

    def _attempt(self, what: str, step: Callable[[], None]) -> bool:
        try:
            step()
        except Exception as error:  # a bug must not end the thread either
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            failure = f"cannot {what} {self._folder}: {reason}"
            if self._failures.get(what) != failure:
                logger.exception("prediction log: %s", failure)
            self._failures[what] = failure
            return False
        self._failures.pop(what, None)
        return True

    def _write(self, lines: list[bytes]) -> None:
        try:
            if self._segment is None:
                self._segment = Segment(self._folder)
            self._segment.append(b"".join(lines))
        except BaseException:
            self._queue.failed(lines)
            raise
        self._queue.written(lines)

    def _is_old(self, segment: Segment) -> bool:
        return time.monotonic() - segment.opened_at >= self._queue.policy.publish_seconds

    def _close(self, segment: Segment) -> None:
        segment.close()
        self._segment = None
        if self._publisher is not None:
            self._publisher.segment_closed()
