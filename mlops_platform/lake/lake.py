"""The one door to the lake: objects by key, whole or not there.

A key is a relative path with ``/`` between its parts, such as ``features/credit_risk/current.json``. A prefix is a key
without its last parts: a folder. Today the lake is a folder of this machine, shared by all services; nothing in front
of this class may notice. Names that begin with a dot are the door's own and are never listed.
"""

import contextlib
import datetime as dt
import hashlib
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mlops_platform.errors import LakeError
from mlops_platform.files import file_sha256, link_or_copy, locked, locked_if_free, replace_file, sync_file, sync_folder

_LOCK = ".lock"
_SCRATCH = ".scratch"


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
            raise LakeError(f"the lake has no {key}", remedy="run again what writes it")
        return content

    def read_if_there(self, key: str) -> bytes | None:
        """The object's content, None where there is none."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, key: str) -> bool:
        """Whether there is an object of this key, or one below it."""
        return self._path(key).is_file() or bool(self.keys(key))

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
        replace_file(self._path(key), content)

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
        with locked(path.with_name(f".{path.name}{_LOCK}")):
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
                shutil.rmtree(folder, ignore_errors=True)

    def add(self, key: str, file: Path) -> None:
        """Take a file of this machine in as an object, whole, durable when this returns. The file is gone then.

        Raises:
            LakeError: there is such an object already; it stays, and so does the file.
        """
        target = self._path(key)
        sync_file(file)
        target.parent.mkdir(parents=True, exist_ok=True)
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
        except (FileNotFoundError, IsADirectoryError):
            raise LakeError(f"the lake has no {key}", remedy="run again what writes it") from None

    def local_copy(self, key: str, target: Path, sha256: str | None) -> Path:
        """The object as a file of this machine, which never changes; ``target`` appears whole and right, or not at all.

        Costs no room where both are on one file system.

        Args:
            sha256: what a manifest says of the object; None where it says nothing.

        Raises:
            LakeError: there is no such object, or it is not what the manifest says.
        """
        source = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            link_or_copy(source, draft)
            found = sha256 and file_sha256(draft)
            if found != sha256:
                raise LakeError(
                    f"{key} has the sha256 {found}, its manifest says {sha256}", remedy="run again what writes it"
                )
            draft.replace(target)
        except FileNotFoundError:
            raise LakeError(f"the lake has no {key}", remedy="run again what writes it") from None
        finally:
            draft.unlink(missing_ok=True)
        return target

    def fetch(self, prefix: str, folder: Path) -> None:
        """Local copies of all objects below the prefix, in a folder that is made or made anew."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for key in self.keys(prefix):
            self.local_copy(key, folder / key.removeprefix(f"{prefix}/"), None)

    # -- prefixes ------------------------------------------------------------------------------------------------------

    def keys(self, prefix: str) -> list[str]:
        """The keys of all objects below the prefix, sorted."""
        top = self._path(prefix)
        found = (path for path in top.rglob("*") if path.is_file())
        relative = (path.relative_to(self._root) for path in found)
        return sorted(path.as_posix() for path in relative if not any(part.startswith(".") for part in path.parts))

    def folders(self, prefix: str) -> list[str]:
        """The names directly below the prefix that have objects of their own below them, sorted."""
        try:
            entries = list(self._path(prefix).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())

    def size(self, key: str) -> int:
        """The object's bytes.

        Raises:
            LakeError: there is none.
        """
        try:
            return self._path(key).stat().st_size
        except FileNotFoundError:
            raise LakeError(f"the lake has no {key}", remedy="run again what writes it") from None

    def written_at(self, prefix: str) -> dt.datetime | None:
        """When the last of the objects below the prefix was written; None where there are none."""
        times = [self._path(key).stat().st_mtime for key in self.keys(prefix)]
        return dt.datetime.fromtimestamp(max(times), dt.UTC) if times else None

    def delete(self, key: str) -> None:
        """Remove the object, or all objects below the prefix; what is not there is no error."""
        path = self._path(key)
        if path.is_dir():
            shutil.rmtree(path, onerror=_unless_missing)
        else:
            path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self._root or not _removed_if_empty(parent):
                break

    def make_durable(self, prefix: str) -> None:
        """Wait until what others wrote below the prefix, by its URI, would survive a power cut."""
        top = self._path(prefix)
        for path in sorted(top.rglob("*")):
            sync_folder(path) if path.is_dir() else sync_file(path)
        while top != self._root.parent:
            sync_folder(top)
            top = top.parent

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
        with locked(self._path(prefix) / _LOCK):
            yield

    @contextlib.contextmanager
    def lease_if_free(self, prefix: str) -> Iterator[bool]:
        """Like :meth:`lease`, but False, at once, where somebody else holds it."""
        with locked_if_free(self._path(prefix) / _LOCK) as held:
            yield held

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if not all(parts) or ".." in parts or "." in parts or "\0" in key:
            raise LakeError(f"{key!r} is no key of the lake", remedy="give the parts of a relative path, joined by /")
        return self._root.joinpath(*parts)


def _remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders that nobody holds."""
    for folder in [path for path in parent.iterdir() if path.is_dir()]:
        with locked_if_free(folder / _LOCK) as abandoned:
            if abandoned:
                shutil.rmtree(folder, ignore_errors=True)


def _removed_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:  # missing, or something is in it
        return False
    return True


def _unless_missing(_function: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]
