"""Segments: the files that workers append records to, a JSON line each, until ``serving.log.publish`` has made of them
files of the Hive table.

``<name>.open`` is appended to by the worker that holds its lock; ``.jsonl`` is closed and waits for publication;
``.unreadable`` could not be published.
"""

import contextlib
import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from mlops_platform.files import make_folder, sync_folder

logger = logging.getLogger(__name__)

OPEN = ".open"
CLOSED = ".jsonl"
UNREADABLE = ".unreadable"


class Segment:
    """A new file that only this worker appends to, whole lines at a time.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.opened_at = time.monotonic()
        self._path, self._descriptor = _locked_file(folder)
        self._size = 0
        self._torn = False

    def append(self, lines: bytes) -> None:
        """All of the lines on disk, or none and an OSError."""
        if self._torn:
            self._cut_back()
        self._torn = True
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):  # then the next append has to
                self._cut_back()
            raise
        self._torn = False
        self._size += len(lines)

    def _cut_back(self) -> None:
        os.ftruncate(self._descriptor, self._size)
        os.lseek(self._descriptor, self._size, os.SEEK_SET)
        self._torn = False

    def close(self) -> None:
        """Hand the segment over to publication.

        Raises:
            OSError: it stays open, and can be closed again.
        """
        try:
            self._path.rename(self._path.with_suffix(CLOSED))
        except FileNotFoundError:
            logger.error("a segment of the prediction log was removed", extra={"segment": str(self._path)})
        os.close(self._descriptor)


def _locked_file(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}{OPEN}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if path.exists():
                sync_folder(folder)
                return path, descriptor
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)  # a publication took it for abandoned before it was locked


def read_lines(segment: Path) -> Iterator[bytes]:
    """The records of a segment, in order, as JSON; a last line that a crash cut short was never committed.

    Raises:
        FileNotFoundError: the segment was closed or published meanwhile.
    """
    with segment.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield line


def close_abandoned(folder: Path) -> None:
    """Close the segments whose worker is gone: nobody holds their lock."""
    for path in folder.glob(f"*{OPEN}"):
        # a worker that lives closes its own at any time
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.rename(path.with_suffix(CLOSED))
            finally:
                os.close(descriptor)
