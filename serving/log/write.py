"""The prediction log: every prediction, on disk within a stated time of its answer (group commit).

A worker appends JSON lines to a segment of its own and syncs them together. A segment that is old enough is closed by
renaming it; ``serving.log.publish`` turns closed segments into the files of a Hive table. A segment whose worker died
is closed by the next publication: its writer's lock is free.

The queue between answers and disk is bounded. Where it is full (the disk is full, or too slow) ``refuse`` answers no
prediction that could not be recorded, ``drop`` answers, counts what was lost and says so in ``/readyz``.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from mlops_platform.settings import PlatformSettings
from serving.problems import overloaded

logger = logging.getLogger(__name__)

OPEN = ".open"
CLOSED = ".jsonl"
_LONGEST_WAIT = 0.25


@dataclass(frozen=True)
class LogPolicy:
    """``bound_seconds``: the longest time between an answer and its record on disk; 0 is before the answer."""

    bound_seconds: float = 1.0
    queue_limit: int = 50_000
    overflow: Literal["refuse", "drop"] = "refuse"
    publish_seconds: float = 20.0


class PredictionLog:
    """One worker's log. Every method but the writer's own is called from the event loop's thread."""

    def __init__(self, folder: Path, policy: LogPolicy, publish_command: list[str] | None = None) -> None:
        self.policy = policy
        self.folder = folder
        self.written = 0
        self.dropped = 0
        self.failure: str | None = None
        self._reserved = 0
        self._put = 0
        self._queue: deque[bytes] = deque()
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._segment: _Segment | None = None
        self._publish_command = publish_command
        self._publisher: subprocess.Popen[bytes] | None = None

    @property
    def queued(self) -> int:
        """Records that are not on disk yet, or have their place reserved."""
        return self._reserved + self._put - self.written

    def start(self) -> None:
        """Begin to write; call inside the running event loop."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(
            target=self._write_until_stopped, args=[asyncio.get_running_loop()], name="prediction-log", daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        """Write what is queued, close the segment and publish it."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def reserve(self, records: int) -> int:
        """Keep room for so many records. Returns how many there is room for: all, or none under ``drop``.

        Raises:
            Problem: 503 where there is no room and the policy is ``refuse``.
        """
        if self.queued + records > self.policy.queue_limit:
            if self.policy.overflow == "refuse":
                raise overloaded("the prediction log cannot take more records now; nothing was predicted")
            self.dropped += records
            return 0
        self._reserved += records
        return records

    def put(self, lines: list[bytes], reserved: int) -> None:
        """Queue an answer's records in the room that was kept for them, and give the room back."""
        self._reserved -= reserved
        if reserved:
            self._queue.extend(lines)
            self._put += len(lines)

    async def committed(self) -> None:
        """Returns when everything put so far is on disk; at once unless the bound is 0."""
        if self.policy.bound_seconds or self.written >= self._put:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._put, future))
        self._wake.set()
        await future

    def _write_until_stopped(self, loop: asyncio.AbstractEventLoop) -> None:
        interval = min(self.policy.bound_seconds / 2, _LONGEST_WAIT) or _LONGEST_WAIT
        while True:
            self._wake.wait(interval)
            self._wake.clear()
            stopping = self._stopping
            self._write_queued()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._release)
            self._close_segment_if_due(at_once=stopping)
            if stopping:
                return

    def _write_queued(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        if not batch:
            return
        try:
            if self._segment is None:
                self._segment = _Segment(self.folder)
            self._segment.append(b"".join(batch))
        except OSError as error:
            # what could not be written stays queued, in order, and is tried again
            self._queue.extendleft(reversed(batch))
            if self.failure is None:
                logger.error("prediction log: cannot write", extra={"reason": str(error.strerror)})
            self.failure = f"cannot write to {self.folder}: {error.strerror}"
            return
        self.failure = None
        self.written += len(batch)

    def _release(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.written:
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_result(None)

    def _close_segment_if_due(self, *, at_once: bool) -> None:
        segment = self._segment
        if segment is not None and (at_once or time.monotonic() - segment.opened_at >= self.policy.publish_seconds):
            segment.close()
            self._segment = None
            self.publish()

    def publish(self) -> None:
        """Have closed segments published by a process of its own, which needs libraries that a worker does not."""
        if self._publish_command is None or (self._publisher is not None and self._publisher.poll() is None):
            return
        self._publisher = subprocess.Popen(self._publish_command, start_new_session=True)


def publish_command(settings: PlatformSettings) -> list[str]:
    """The command that publishes what this installation's workers have logged."""
    return [
        *(sys.executable, "-m", "serving.log.publish", "--state-dir", str(settings.state_dir)),
        *("--hiveserver2-host", settings.hiveserver2_host, "--hiveserver2-port", str(settings.hiveserver2_port)),
    ]


class _Segment:
    """A file that only this worker appends to, whole lines at a time."""

    def __init__(self, folder: Path) -> None:
        self.opened_at = time.monotonic()
        self._path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}{OPEN}"
        self._size = 0
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def append(self, lines: bytes) -> None:
        """All of the lines on disk, or none and an OSError."""
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            raise
        self._size += len(lines)

    def close(self) -> None:
        self._path.rename(self._path.with_suffix(CLOSED))
        os.close(self._descriptor)


def lines_of(segment: Path) -> Iterator[dict[str, Any]]:
    """The records of a segment. A last line that a crash cut short was never committed, and is left out."""
    with segment.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield orjson.loads(line)


def close_abandoned(folder: Path) -> None:
    """Close the segments whose worker is gone."""
    for path in folder.glob(f"*{OPEN}"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rename(path.with_suffix(CLOSED))
        except BlockingIOError:
            continue  # its worker lives
        finally:
            os.close(descriptor)
