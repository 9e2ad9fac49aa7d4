"""Going back to a snapshot that was published before: Hive's views first, then the pointer that readers follow."""

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.lake.tables import move_views
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase


def roll_back(settings: PlatformSettings, use_case: UseCase, snapshot: str | None) -> SnapshotManifest:
    """Publish a kept snapshot again; without a name, the one before the published one. Returns its manifest.

    Raises:
        SnapshotError: there is no such snapshot, or none before; nothing was changed.
        PlatformError: HiveServer2 does not answer; the pointer was not moved.
    """
    from mlops_platform.online_store.hive import run_query  # noqa: PLC0415 - not every image has PyHive

    snapshots = Snapshots(Lake(settings.lake_root), use_case.name)
    manifest = snapshots.get(snapshot) if snapshot else _before_current(snapshots)
    with snapshots.republishing():
        for statement in move_views(use_case, manifest.snapshot):
            run_query(settings.hiveserver2_host, settings.hiveserver2_port, statement, {})
        snapshots.make_current(manifest)
    return manifest


def _before_current(snapshots: Snapshots) -> SnapshotManifest:
    current = snapshots.current()
    older = [m for m in snapshots.published() if current is not None and m.created_at < current.created_at]
    if not older:
        raise SnapshotError(
            f"{snapshots.use_case} has no snapshot before the published one",
            remedy=f"see which there are with `mlops snapshots list {snapshots.use_case}`",
        )
    return older[0]
