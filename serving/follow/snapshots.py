"""Follows the published snapshot of a use case, and keeps the last good one beside the service.

The kept copy is a hard link where the lake lies on the same file system, so it costs nothing; the service then needs
the lake neither to go on nor to start again.
"""

import os
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.files import link_or_copy, write_text
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.redis_first import RedisFirst, open_redis
from mlops_platform.use_case.spec import UseCase
from serving.served import ServedStore

_REMEDY = "run the features DAG again; the snapshot before goes on answering"

Opened = tuple[ServedStore, SnapshotManifest]


class SnapshotFollower:
    """``poll`` is called again and again, from one thread at a time. ``redis`` is where lookups go first, if set."""

    def __init__(self, use_case: UseCase, lake: Lake, kept: Path, redis: SecretStr | None) -> None:
        self._use_case = use_case
        self._redis = redis
        self._lake = lake
        self._snapshots = Snapshots(lake, use_case.name)
        self._pointer = self._snapshots.folder / "current.json"
        self._kept = kept
        self._seen: tuple[int, int, int] | None = None
        self.refused: str | None = None

    def poll(self) -> Opened | None:
        """The newly published snapshot, opened and kept; None where nothing changed or the new one is refused."""
        mark = self._mark()
        if mark is None or mark == self._seen:
            return None
        try:
            manifest = self._snapshots.current()
            if manifest is None:
                return None
            opened = self._open(self._lake.root / manifest.online_path, manifest)
            self._keep(self._lake.root / manifest.online_path, manifest)
        except (PlatformError, OSError) as error:
            # not marked as seen: it is tried again, for it may be the lake that is half there
            self.refused = str(error)
            return None
        self._seen = mark
        self.refused = None
        return opened

    def last_good(self) -> Opened | None:
        """The snapshot that was kept last, None where there is none fit to serve."""
        try:
            manifest = SnapshotManifest.model_validate_json(self._kept_pointer.read_text(encoding="utf-8"))
            return self._open(self._kept_file(manifest), manifest)
        except (OSError, ValueError, PlatformError):
            return None

    @property
    def _kept_pointer(self) -> Path:
        return self._kept / "current.json"

    def _kept_file(self, manifest: SnapshotManifest) -> Path:
        return self._kept / f"{manifest.snapshot}.{manifest.attempt}.lmdb"

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._pointer.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _open(self, file: Path, manifest: SnapshotManifest) -> Opened:
        if manifest.spec_hash != self._use_case.spec_hash:
            raise SnapshotError(
                f"snapshot {manifest.snapshot} was made for another version of the spec of {self._use_case.name}",
                remedy=_REMEDY,
            )
        store = EmbeddedStore(file, manifest.snapshot)
        if len(store) != manifest.entities:
            raise SnapshotError(
                f"{file} holds {len(store)} entities, its manifest says {manifest.entities}", remedy=_REMEDY
            )
        if self._redis is None:
            return store, manifest
        return RedisFirst(store, partial(open_redis, self._redis, manifest)), manifest

    def _keep(self, file: Path, manifest: SnapshotManifest) -> None:
        target = self._kept_file(manifest)
        self._kept.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            draft = target.with_name(f".{target.name}.{os.getpid()}")
            draft.unlink(missing_ok=True)
            link_or_copy(file, draft)
            draft.replace(target)
        write_text(self._kept_pointer, manifest.model_dump_json() + "\n")
        for old in self._kept.glob("*.lmdb"):
            if old != target:
                old.unlink(missing_ok=True)
