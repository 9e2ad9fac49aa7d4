"""The one door to the lake: objects by key, whole or not there.

A key is a relative path with ``/`` between its parts, such as ``features/credit_risk/current.json``. A prefix is a key
without its last parts. Today the lake is a folder of this machine, shared by all services; nothing in front of this
class may notice. Names that begin with a dot are the door's own: no key has one, and nothing lists them. What others
write by its URI may come and go while the door looks.
"""

import contextlib
import datetime as dt
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from mlops_platform.errors import LakeError
from mlops_platform.files import (
    copy_file,
    file_sha256,
    link_or_copy,
    locked,
    locked_if_free,
    make_folder,
    replace_file,
    sync_file,
    sync_folder,
)

_LOCK = ".lock"
_LOCKS = ".locks"
_SCRATCH = ".scratch"
_REMEDY = "run again what writes it"
_NO_NAME = re.compile("[\0\ud800-\udfff]")
"""What no file's name can have."""


@dataclass(frozen=True)
class Stored:
    """A small object as it was read: what it holds, and what it is told by."""

    content: bytes

    @property
    def tag(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Lake:
    """One lake, by its root folder. Safe to use from several threads and processes.

    Raises:
        LakeError: from every method, for a key that leads out of the lake.
        OSError: from every method, where the storage fails.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    # -- small objects -------------------------------------------------------------------------------------------------

    def read(self, key: str) -> bytes:
        """The object's content.

        Raises:
            LakeError: there is none.
        """
        content = self.read_if_there(key)
        if content is None:
            raise LakeError(f"the lake has no {key}", remedy=_REMEDY)
        return content

    def read_if_there(self, key: str) -> bytes | None:
        """The object's content, None where there is none."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key, or one below it."""
        return self._path(key).is_file() or next(self._files(key), None) is not None

    def write_once(self, key: str, content: bytes) -> None:
        """Make the object; durable when this returns.

        Raises:
            LakeError: there is one already; it stays.
        """
        with self.scratch() as folder:
            draft = folder / "draft"
            draft.write_bytes(content)
            self.add(key, draft)

    def put(self, key: str, content: bytes) -> None:
        """Make the object hold this, whatever was there: a reader meets the old content or the new one."""
        path = self._path(key)
        with locked(self._lock(key)):
            replace_file(path, content)

    def load(self, key: str) -> Stored | None:
        """A small object to be replaced by :meth:`swap`; None where there is none."""
        content = self.read_if_there(key)
        return None if content is None else Stored(content)

    def swap(self, key: str, content: bytes, before: Stored | None) -> Stored:
        """Replace what was loaded, in one step; ``None`` where there was nothing.

        Raises:
            LakeError: somebody else replaced it meanwhile; it stays as they left it.
        """
        path = self._path(key)
        with locked(self._lock(key)):
            found = self.load(key)
            if (found and found.tag) != (before and before.tag):
                raise LakeError(
                    f"{key} was replaced by somebody else meanwhile", remedy="read it again and decide anew"
                )
            replace_file(path, content)
        return Stored(content)

    # -- files ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of this machine to write a file in before it is added; what is left in it goes at the end.

        Folders whose owner was killed go when the next one is asked for.
        """
        parent = self._root / _SCRATCH
        folder = parent / uuid.uuid4().hex
        with contextlib.ExitStack() as held:
            with locked(parent / _LOCK):
                _remove_abandoned(parent)
                held.enter_context(locked(folder / _LOCK))
            try:
                yield folder
            finally:
                with locked(parent / _LOCK):
                    shutil.rmtree(folder, ignore_errors=True)

    def add(self, key: str, file: Path) -> None:
        """Take a file of this machine in as an object, whole, durable when this returns. The file is gone then.

        Raises:
            LakeError: there is such an object already, or this is no file of its own; all stays as it is.
        """
        target = self._path(key)
        if file.is_symlink() or not file.is_file():
            raise LakeError(f"{file} is no regular file", remedy="give the file itself")
        sync_file(file)
        make_folder(target.parent)
        try:
            # a link, where a rename would replace what is there
            link_or_copy(file, target)
        except FileExistsError:
            raise LakeError(
                f"the lake has {key} already", remedy="nothing is written twice: give it another name"
            ) from None
        file.unlink()
        sync_folder(target.parent)

    def open(self, key: str) -> BinaryIO:
        """The object as a file to read, at any place of it.

        Raises:
            LakeError: there is none.
        """
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise LakeError(f"the lake has no {key}", remedy=_REMEDY) from None

    def local_copy(self, key: str, target: Path, sha256: str | None, *, shared: bool = False) -> Path:
        """The object as a file of this machine, which never changes; ``target`` appears whole and right, or not at all.

        Args:
            sha256: what a manifest says of the object; None where it says nothing.
            shared: have it cost no room where both are on one file system. What then damages the object's bytes where
                they lie damages the copy's too: nothing to be mapped into memory.

        Raises:
            LakeError: there is no such object, or it is not what the manifest says.
        """
        source = self._path(key)
        if not source.is_file():
            raise LakeError(f"the lake has no {key}", remedy=_REMEDY)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            link_or_copy(source, draft) if shared else copy_file(source, draft)
            found = sha256 and file_sha256(draft)
            if found != sha256:
                raise LakeError(f"{key} has the sha256 {found}, its manifest says {sha256}", remedy=_REMEDY)
            draft.replace(target)
        except FileNotFoundError:  # it went meanwhile
            raise LakeError(f"the lake has no {key}", remedy=_REMEDY) from None
        finally:
            draft.unlink(missing_ok=True)
        return target

    def fetch(self, prefix: str, folder: Path) -> None:
        """Local copies of all objects below the prefix, in a folder that is made or made anew.

        Raises:
            LakeError: there are none.
        """
        keys = self.keys(prefix)
        if not keys:
            raise LakeError(f"the lake has nothing below {prefix}", remedy=_REMEDY)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for key in keys:
            self.local_copy(key, folder / key.removeprefix(f"{prefix}/"), None, shared=True)

    # -- prefixes ------------------------------------------------------------------------------------------------------

    def keys(self, prefix: str) -> list[str]:
        """The keys of all objects below the prefix, sorted."""
        return sorted(path.relative_to(self._root).as_posix() for path in self._files(prefix))

    def folders(self, prefix: str) -> list[str]:
        """The names directly below the prefix that have objects of their own below them, sorted."""
        names = (entry.name for entry in _entries(self._path(prefix)) if entry.is_dir(follow_symlinks=False))
        return sorted(name for name in names if next(self._files(f"{prefix}/{name}"), None) is not None)

    def size(self, key: str) -> int:
        """The object's bytes.

        Raises:
            LakeError: there is none.
        """
        with self.open(key) as file:
            return os.fstat(file.fileno()).st_size

    def written_at(self, prefix: str) -> dt.datetime | None:
        """When the object, or the last of those below the prefix, was written; None where there is none."""
        top, times = self._path(prefix), []
        for path in [top] if top.is_file() else self._files(prefix):
            with contextlib.suppress(FileNotFoundError):
                times.append(path.stat().st_mtime)
        return dt.datetime.fromtimestamp(max(times), dt.UTC) if times else None

    def delete(self, key: str) -> None:
        """Remove the object, or all objects below the prefix; what is not there is no error."""
        path = self._path(key)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, onerror=_unless_missing)
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()

    def make_durable(self, prefix: str) -> None:
        """Wait until what others wrote below the prefix, by its URI, would survive a power cut."""
        top = self._path(prefix)
        for path in sorted(top.rglob("*")):
            sync_folder(path) if path.is_dir() else sync_file(path)
        for folder in [top, *top.parents]:
            sync_folder(folder)
            if folder == self._root:
                break

    def uri(self, key: str) -> str:
        """The key as Spark, Hive, DuckDB and pyarrow take it.

        >>> Lake(Path("/my lake")).uri("features/titanic/snapshot=1")
        'file:///my lake/features/titanic/snapshot=1'
        """
        # they decode nothing, so nothing is encoded
        return f"file://{self._path(key).absolute()}"

    # -- leases --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lease(self, prefix: str) -> Iterator[None]:
        """Be the only one who holds the lease of this prefix; others wait. It ends with its holder, however he ends."""
        with locked(self._lock(prefix)):
            yield

    def _files(self, prefix: str) -> Iterator[Path]:
        folders = [self._path(prefix)]
        while folders:
            for entry in _entries(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path)

    def _lock(self, key: str) -> Path:
        """The lock of a key: apart from the objects, so that none is deleted with them."""
        self._path(key)
        return self._root / _LOCKS / f"{quote(key, safe='')}{_LOCK}"

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or any(part.startswith(".") for part in parts) or _NO_NAME.search(key):
            raise LakeError(
                f"{key!r} is no key of the lake",
                remedy="give the parts of a relative path, joined by /; none begins with a dot",
            )
        return self._root.joinpath(*parts)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, without the door's own; nothing where the folder has gone."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders that nobody holds."""
    for folder in [path for path in parent.iterdir() if path.is_dir()]:
        with locked_if_free(folder / _LOCK) as abandoned:
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)


def _unless_missing(_function: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
