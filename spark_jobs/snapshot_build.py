"""Building a snapshot: raw rows judged, features computed, written and checked, the online store filled."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from mlops_platform.files import file_sha256
from mlops_platform.lake.inputs import snapshot_inputs
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest
from mlops_platform.online_store import embedded
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.transform.compile import compile_transform
from mlops_platform.transform.kept import fingerprint_of, keep
from mlops_platform.transform.proof import check_equal
from spark_jobs import quarantine
from spark_jobs.acceptance import Rejected, accept
from spark_jobs.attempt import Attempt
from spark_jobs.feature_run import FeatureRun
from spark_jobs.features import Features
from spark_jobs.sample import take_sample
from spark_jobs.stopwatch import Stopwatch
from spark_jobs.written_features import WrittenFeatures

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisPublisher


def build(
    session: SparkSession, run: FeatureRun, attempt: Attempt, watch: Stopwatch, redis: "RedisPublisher | None" = None
) -> SnapshotManifest:
    """Write and check all files of an attempt, durably, and fill Redis if there is one. Returns the manifest.

    Raises:
        DataQualityError: too many rows were rejected, or none is left.
        SnapshotError: what was written does not fit the spec.
        TransformError: the transform cannot be compiled, or its compiled form gives other features.
        PlatformError: rows are unaccounted for, or Redis did not take them.
    """
    use_case, lake = run.use_case, attempt.snapshots.lake
    features = Features(session, lake, run)
    written = WrittenFeatures(lake, attempt.features, use_case)

    # the process that compiles and Spark do not wait for one another
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(compile_transform, use_case)
        with watch.step("features"):
            computed = features.write(lake.uri(attempt.features), thoroughly=False)
    with watch.step("checks"), lake.scratch() as folder:
        keys = written.count_keys(folder)
    if computed.out_of_range or keys.repeated:
        with watch.step("features"):
            computed = features.write(lake.uri(attempt.features), thoroughly=True)
        with watch.step("checks"), lake.scratch() as folder:
            keys = written.count_keys(folder)
    rejected = Rejected()
    if computed.valid < run.dataset.rows:
        with watch.step("quarantine"):
            rejected = quarantine.write(computed.rejected(), lake, attempt.quarantine)
    quality = accept(use_case, run.dataset, computed, rejected)
    with watch.step("checks"):
        written.check(quality.rows_valid, keys)
        duplicates = written.count_duplicates()
    with watch.step("proof"):
        compiled = compiling.result()
        sample = take_sample(features, written, use_case)
        check_equal(compiled, sample.raw, sample.written, run.run_date, use_case.row_key)
    with watch.step("online_store"):
        online_sha256 = _fill_online_store(attempt, written, redis)
    with watch.step("durable"):
        lake.make_durable(attempt.features)
    return SnapshotManifest(
        snapshot=attempt.snapshot,
        use_case=use_case.name,
        attempt=attempt.name,
        dataset_version=run.dataset.version,
        run_date=run.run_date,
        created_at=dt.datetime.now(dt.UTC),
        spec_hash=use_case.spec_hash,
        transform=fingerprint_of(compiled, attempt.snapshots),
        compiled_path=attempt.compiled,
        compiled_sha256=keep(lake, attempt.compiled, compiled),
        inputs=snapshot_inputs(use_case, run.dataset, compiled, run.run_date),
        rows=quality.rows_valid,
        entities=keys.entities,
        duplicates=duplicates,
        features_path=attempt.features,
        online_path=attempt.online,
        online_sha256=online_sha256,
        quarantine_path=attempt.quarantine if rejected.rows else None,
        quality=quality,
        timings=watch.seconds,
    )


def rehearse(session: SparkSession, lake: Lake, run: FeatureRun) -> Quality:
    """Validate and compute as :func:`build` would, and write nothing anywhere.

    Raises:
        PlatformError: as there.
    """
    computed = Features(session, lake, run).rehearse()
    return accept(run.use_case, run.dataset, computed, quarantine.count(computed.rejected()))


def _fill_online_store(attempt: Attempt, written: WrittenFeatures, redis: "RedisPublisher | None") -> str:
    """Build the embedded store, and copy its rows to Redis if there is one. Returns the sha256 of the store's file."""
    lake = attempt.snapshots.lake
    with lake.scratch() as folder:
        file = folder / "online.lmdb"
        embedded.build(file, written.latest(folder))
        sha256 = file_sha256(file)
        if redis is not None:
            store = EmbeddedStore(file, attempt.snapshot)
            try:
                _fill_redis(redis, attempt, store)
            finally:
                store.close()
        lake.add(attempt.online, file)
    return sha256


def _fill_redis(redis: "RedisPublisher", attempt: Attempt, store: EmbeddedStore) -> None:
    snapshots = attempt.snapshots
    # what attempts that are gone left in Redis makes room first
    redis.keep_only(snapshots.use_case, snapshots.attempts)
    redis.fill(snapshots.use_case, attempt.snapshot, attempt.name, store.encoded_rows())
