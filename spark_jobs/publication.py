"""Publishing a built snapshot: Hive's partition, the views, then the pointer that readers follow."""

import time
from functools import partial

from pyspark.sql import SparkSession

from mlops_platform.lake import tables
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.lake.tables import DATABASE, history_table
from mlops_platform.use_case.spec import UseCase


def publish(
    session: SparkSession, use_case: UseCase, snapshots: Snapshots, manifest: SnapshotManifest, kept: int
) -> list[str]:
    """Make a built snapshot the one that everyone reads, and let go of the oldest beyond ``kept``.

    A snapshot of an earlier day than the current one is added to the history and no more: views and pointer stay.

    Each step may be the last that happens: what readers see is always one whole snapshot, and running the job again
    ends as if nothing had gone wrong. Returns the ids of the snapshots that were deleted.

    Raises:
        SnapshotError: a later attempt of the same run holds the claim; nothing was changed.
        PlatformError: the Hive table has a column of another type.
    """
    started = time.monotonic()
    with snapshots.publishing(manifest.snapshot, manifest.attempt):
        prepare_table(session, use_case, snapshots)
        location = snapshots.lake.uri(manifest.features_path)
        statements = tables.put_partition(use_case, manifest.snapshot, location)
        if snapshots.supersedes(manifest):
            statements += tables.move_views(use_case, manifest.snapshot)
        for statement in statements:
            session.sql(statement)
        timings = manifest.timings | {"hive": round(time.monotonic() - started, 3)}
        snapshots.publish(manifest.model_copy(update={"timings": timings}))
        return snapshots.prune(kept, partial(_forget, session, use_case))


def prepare_table(session: SparkSession, use_case: UseCase, snapshots: Snapshots) -> None:
    """Make the database and the history table, and add the columns that are new in the spec."""
    session.sql(tables.create_database(snapshots.lake.uri(f"warehouse/{DATABASE}.db")))
    session.sql(tables.create_history_table(use_case, snapshots.lake.uri(snapshots.prefix)))
    found = {field.name: field.dataType.simpleString() for field in session.table(history_table(use_case)).schema}
    for statement in tables.evolve_history_table(use_case, found):
        session.sql(statement)


def _forget(session: SparkSession, use_case: UseCase, snapshot: str) -> None:
    session.sql(tables.drop_partition(use_case, snapshot))
