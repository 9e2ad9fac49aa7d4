"""Going back to a snapshot that was published before: Hive's views first, then the pointer that readers follow."""

from mlops_platform.lake.lake import Lake
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
    with snapshots.republishing():
        manifest = snapshots.before_current() if snapshot is None else snapshots.get(snapshot)
        for statement in move_views(use_case, manifest.snapshot):
            run_query(settings.hiveserver2_host, settings.hiveserver2_port, statement, {})
        snapshots.make_current(manifest)
    return manifest
