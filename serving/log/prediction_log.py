"""The prediction log of one worker: every prediction, on disk within a stated time of its answer (group commit).

The worker appends records to a segment of its own and syncs them together. A segment that is old enough is closed;
``serving.log.publish`` turns closed segments, and those of workers that died, into the files of a Hive table.
"""

import asyncio
from pathlib import Path

from mlops_platform.settings import PlatformSettings
from serving.log.publisher import Publisher, publish_command
from serving.log.queue import LogPolicy, RecordQueue
from serving.log.writer import Writer
from serving.paths import serving_paths


class PredictionLog:
    """Answers reserve room in it, on the event loop; a thread writes. Nothing is published without a publisher."""

    def __init__(self, folder: Path, policy: LogPolicy, publisher: Publisher | None = None) -> None:
        self._queue = RecordQueue(policy)
        self.reserve = self._queue.reserve  # asked for each request: without a call in between
        self._writer = Writer(folder, self._queue, publisher)

    @classmethod
    def of(cls, settings: PlatformSettings) -> "PredictionLog":
        """The log as an installation's settings want it."""
        policy = LogPolicy(
            bound_seconds=settings.serving_log_bound_seconds,
            queue_limit=settings.serving_log_queue,
            overflow=settings.serving_log_overflow,
            publish_seconds=settings.serving_log_publish_seconds,
        )
        folder = serving_paths(settings).log
        return cls(folder, policy, Publisher(folder, publish_command(settings), policy.publish_seconds))

    @property
    def queued(self) -> int:
        """Records that are not on disk yet, or have their place reserved."""
        return self._queue.queued

    @property
    def dropped(self) -> int:
        """Predictions that were answered and not recorded."""
        return self._queue.dropped

    @property
    def died(self) -> bool:
        """Whether nobody brings records to disk any more, though nobody stopped it."""
        return self._writer.died

    @property
    def failure(self) -> str | None:
        """What does not work now, in words; None where all does."""
        return self._writer.failure

    def start(self) -> None:
        """Begin to write, and publish what a crash left behind."""
        self._writer.start()

    async def stop(self) -> None:
        """Write what is queued, close the segment and have it published. Ends in bounded time, also on a full disk."""
        await asyncio.to_thread(self._writer.stop)
