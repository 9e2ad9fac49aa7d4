"""Files of this machine: a reader, or a power cut, meets the old content or the new one and nothing between."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SETTLED_SECONDS = 2.0
"""Longer than the steps in which any file system counts the time of a change."""


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """The digest of a file's content, 64 hex digits; read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(file: Path, target: Path) -> None:
    """Copy a file's content, durably. Not in one step: a reader may meet half of it."""
    shutil.copyfile(file, target)
    sync_file(target)


def link_or_copy(file: Path, target: Path) -> None:
    """Give a file that never changes another name; where the file system takes no link, a copy of it, synced.

    Raises:
        FileExistsError: the name is taken; what has it stays.
    """
    try:
        target.hardlink_to(file)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            copy_file(file, draft)
            with locked(target.with_name(f".{target.name}.lock")):
                if target.exists():
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
                draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there, durably."""
    if folder.is_dir():
        return
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file's content in one step, durably; the folder is made if need be."""
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """:func:`replace_file`, for text."""
    replace_file(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Replace the file's content by this JSON, in one step."""
    write_text(path, json.dumps(content, indent=2, default=str) + "\n")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this name; other processes wait. It is released when its holder dies, however it dies."""
    make_folder(path.parent)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock of this name, if nobody else does; gives whether that is so."""
    make_folder(path.parent)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


class Watched:
    """A small file that others write: asked now and then whether its content is another one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int, int] | None = None
        self._digest = hashlib.sha256(b"").digest()

    def changed(self) -> bytes | None:
        """The content, if it is not the one that was returned last; None if it is. A missing file has no content (b"").

        Raises:
            OSError: the file is there and cannot be read; ask again later.
        """
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                mark = (found.st_mtime_ns, found.st_ino, found.st_size)
                if mark == self._mark:
                    return None
                content = file.read()
        except FileNotFoundError:
            self._mark, content = None, b""
        else:
            # what was written this moment may be written again within the same step of the clock
            self._mark = mark if time.time() - found.st_mtime > _SETTLED_SECONDS else None
        digest = hashlib.sha256(content).digest()
        if digest == self._digest:
            return None
        self._digest = digest
        return content
