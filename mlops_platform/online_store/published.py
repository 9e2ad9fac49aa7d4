"""The online store of a published snapshot, for whoever looks into it now and then; the service follows by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.online_store.embedded import EmbeddedStore


@contextmanager
def published_store(lake: Lake, manifest: SnapshotManifest) -> Iterator[EmbeddedStore]:
    """The snapshot's embedded store, verified before it is opened.

    Raises:
        LakeError: its file is missing, or not what the manifest says.
        SnapshotError: it is no store.
    """
    with lake.scratch() as folder:
        file = lake.local_copy(manifest.online_path, folder / "store.lmdb", manifest.online_sha256)
        store = EmbeddedStore(file, manifest.snapshot)
        try:
            yield store
        finally:
            store.close()
