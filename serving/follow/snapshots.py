"""Follows the published snapshot of a use case, in a verified copy that is kept beside the service.

With the copy the service needs the lake neither to go on nor to start again; and it is the service's own, so that
nothing that happens to the lake's file reaches what is mapped into memory.
"""

import datetime as dt
import logging
import time
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import SecretStr

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.files import file_sha256, locked, locked_if_free
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.redis_first import RedisFirst, open_redis
from mlops_platform.use_case.spec import UseCase
from serving.follow.pairing import OpenSnapshot
from serving.served import ServedStore

logger = logging.getLogger(__name__)

_LOCK = ".lock"
_TRY_AGAIN_SECONDS = 5.0
"""A snapshot that was refused is copied and read through again after so long: the lake may have been half there."""
_REMEDY = "run the features DAG again; the snapshot before goes on answering"


class SnapshotFollower:
    """Used by one thread at a time.

    Args:
        kept: the folder of the copies.
        redis: where lookups go first, if set.
    """

    def __init__(self, use_case: UseCase, lake: Lake, kept: Path, redis: SecretStr | None) -> None:
        self._use_case = use_case
        self._redis = redis
        self._lake = lake
        self._snapshots = Snapshots(lake, use_case.name)
        self._kept = kept
        # a file can be open only once in a process: what is still in use is used again
        self._open: WeakValueDictionary[Path, ServedStore] = WeakValueDictionary()
        self._refused: SnapshotManifest | None = None
        self._try_again_at = 0.0
        self.newest: OpenSnapshot | None = None
        """The last one that was opened."""
        self.published: SnapshotManifest | None = None
        """What the lake names, fit to be opened or not."""
        self.checked_at: dt.datetime | None = None
        """When it was last known that there is no newer data than in the published one."""
        self.refused: str | None = None

    def poll(self) -> None:
        """Take in what is published now. One that cannot be served is refused, and tried again after a while."""
        try:
            self.published = self._snapshots.current()
            self.checked_at = self._snapshots.checked_at()
            if self.published is None or (self.published == self._refused and time.monotonic() < self._try_again_at):
                return
            if self.newest is None or self.newest.manifest != self.published:
                self.newest = self._opened(self.published)
        except (PlatformError, OSError, ValueError) as error:
            self._refuse(error)
            self._refused, self._try_again_at = self.published, time.monotonic() + _TRY_AGAIN_SECONDS
        else:
            self.refused = None

    def open_kept(self, manifest: SnapshotManifest) -> None:
        """Take in a snapshot of which a copy was kept, without asking the lake. One that is not fit is refused."""
        try:
            if not self._copy_of(manifest).is_file():
                raise SnapshotError(f"no copy of snapshot {manifest.snapshot} was kept", remedy=_REMEDY)
            self.newest = self._opened(manifest)
        except (PlatformError, OSError, ValueError) as error:
            self._refuse(error)

    def keep_only(self, manifest: SnapshotManifest | None) -> None:
        """Remove the copies of all snapshots but this one and the newest."""
        staying = {self._copy_of(one) for one in (manifest, self.newest and self.newest.manifest) if one is not None}
        with locked_if_free(self._kept / _LOCK) as free:
            # what a worker that was killed had begun to copy goes too: its name has more after it
            for copy in self._kept.glob("*.lmdb*") if free else ():
                if copy not in staying:
                    copy.unlink(missing_ok=True)

    def let_go(self) -> None:
        """Hold no store any more: a file can be open only once in a process."""
        self.newest = None

    def _refuse(self, error: Exception) -> None:
        if self.refused != str(error):
            logger.error("snapshot refused", extra={"use_case": self._use_case.name, "reason": str(error)})
        self.refused = str(error)

    def _copy_of(self, manifest: SnapshotManifest) -> Path:
        return self._kept / f"{manifest.snapshot}.{manifest.attempt}.lmdb"

    def _opened(self, manifest: SnapshotManifest) -> OpenSnapshot:
        check_definition(manifest, self._use_case)
        copy = self._copy_of(manifest)
        store = self._open.get(copy)
        if store is None:
            store = self._open_store(copy, manifest)
            self._open[copy] = store
        return OpenSnapshot(manifest, store)

    def _open_store(self, copy: Path, manifest: SnapshotManifest) -> ServedStore:
        with locked(self._kept / _LOCK):
            if not copy.is_file() or manifest.online_sha256 not in (None, file_sha256(copy)):
                self._lake.local_copy(manifest.online_path, copy, manifest.online_sha256)
        store = EmbeddedStore(copy, manifest.snapshot)
        if len(store) != manifest.entities:
            raise SnapshotError(
                f"the online store of snapshot {manifest.snapshot} holds {len(store)} entities, its manifest says "
                f"{manifest.entities}",
                remedy=_REMEDY,
            )
        self._check_features(store)
        if self._redis is None:
            return store
        return RedisFirst(store, partial(open_redis, self._redis, manifest))

    def _check_features(self, store: EmbeddedStore) -> None:
        """The spec's features, in its order: an old manifest says nothing of them."""
        # reads the background, too, in a thread that may take its time
        for row in store.background[:1]:
            names = tuple(row.features)
            if names != self._use_case.feature_names:
                raise SnapshotError(
                    f"snapshot {store.snapshot} has the features {', '.join(names)}; the spec of {self._use_case.name} "
                    f"says {', '.join(self._use_case.feature_names)}",
                    remedy=_REMEDY,
                )


def check_definition(manifest: SnapshotManifest, use_case: UseCase) -> None:
    """See that a snapshot's features are defined as the use case's are now. By which formulas it brings itself.

    Raises:
        SnapshotError: they are not.
    """
    if manifest.transform is None:  # of before there was one, when the spec's digest had another formula, too
        return
    if manifest.spec_hash != use_case.spec_hash:
        raise SnapshotError(
            f"snapshot {manifest.snapshot} was made for another version of the spec of {use_case.name}", remedy=_REMEDY
        )
