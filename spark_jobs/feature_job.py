"""The feature job: a raw dataset in, a published snapshot of features out. Submitted by the features DAG.

Whatever goes wrong, the last line of the log says what in one sentence, the exit code is 1, and the snapshot that was
published before still is.
"""

import argparse
import datetime as dt
import logging
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from py4j.protocol import INPUT_CONVERTER
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.types import NumpyArrayConverter, NumpyScalarConverter

from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.raw_file import check_header
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.settings import PlatformSettings, load_settings
from mlops_platform.use_case.find import get_use_case
from spark_jobs.publication import publish
from spark_jobs.snapshot_build import Attempt, FeatureRun, Stopwatch, build, rehearse

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisPublisher

BYTES_PER_PARTITION = 128 * 1024 * 1024
"""Of the raw text. A shuffle partition then takes some 30 MB: it is sorted in memory."""
GZIP_RATIO = 6
EMPTY_RELATIONS = "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"

log = logging.getLogger(__name__)


OpenSession = Callable[[int], SparkSession]
"""Opens a session that shuffles into so many partitions."""


def run_job(
    run: FeatureRun, lake: Lake, kept: int, sessions: OpenSession, redis: "RedisPublisher | None" = None
) -> SnapshotManifest:
    """Build and publish the run's snapshot, in Redis too if there is one. Done again, it gives the same rows, once.

    Raises:
        PlatformError: nothing was published; a later attempt of the run took over, the data is not good enough, or
            what was computed does not fit the spec, or Redis did not take it.
    """
    watch = Stopwatch()
    snapshots = Snapshots(lake, run.use_case.name)
    snapshot = snapshot_id(run.run_id)
    attempt = Attempt(snapshots, snapshot, snapshots.claim(snapshot))
    try:
        with watch.step("session"):
            session = sessions(shuffle_partitions(run.raw_file))
        manifest = build(session, run, attempt, watch, redis)
    except BaseException:
        snapshots.abandon(snapshot, attempt.name)
        raise
    # from here on Hive may know the attempt's files, so they stay whatever happens
    removed = publish(session, run.use_case, snapshots, manifest, kept)
    if redis is not None:
        forget_old_rows(redis, snapshots)
    published = snapshots.get(snapshot)
    log.info("published snapshot %s of %s", snapshot, run.use_case.name)
    if removed:
        log.info("deleted old snapshots: %s", ", ".join(removed))
    log.info("seconds: %s", ", ".join(f"{step} {seconds:.1f}" for step, seconds in published.timings.items()))
    return published


def forget_old_rows(redis: "RedisPublisher", snapshots: Snapshots) -> None:
    """Remove what Redis holds of snapshots that are kept no more. It fails no run: the next one does it too."""
    try:
        redis.keep_only(snapshots.use_case, snapshots.attempts)
    except PlatformError as error:
        log.warning("rows of old snapshots stay in Redis until the next run: %s", error)


def open_redis(settings: PlatformSettings) -> "RedisPublisher | None":
    """Where lookups are to be answered from Redis."""
    if settings.online_store_url is None:
        return None
    # loading it takes a quarter of a second, which nobody waits for who does not use it
    from mlops_platform.online_store.redis import RedisPublisher  # noqa: PLC0415

    return RedisPublisher(settings.online_store_url.get_secret_value())


def shuffle_partitions(raw_file: Path) -> int:
    """Into how many partitions the rows of a file are shuffled."""
    size = raw_file.stat().st_size * (GZIP_RATIO if raw_file.suffix == ".gz" else 1)
    return max(2, math.ceil(size / BYTES_PER_PARTITION))


def open_session(name: str, partitions: int) -> SparkSession:
    """A session for the job; what holds for every job is in spark_jobs/conf/spark-defaults.conf."""
    spare_pandas()
    session = SparkSession.builder.appName(name).enableHiveSupport().getOrCreate()
    configure(session, partitions)
    return session


class OfNumpyAlone:
    """A converter of PySpark's that is asked about NumPy's values alone: to answer, it imports pandas."""

    def __init__(self, converter: NumpyArrayConverter | NumpyScalarConverter) -> None:
        self._converter = converter

    def can_convert(self, value: object) -> bool:
        return type(value).__module__ == "numpy" and bool(self._converter.can_convert(value))

    def convert(self, value: Any, client: Any) -> Any:
        return self._converter.convert(value, client)


def spare_pandas() -> None:
    """Have PySpark not ask of every value that it hands over whether it is NumPy's."""
    of_numpy = (NumpyArrayConverter, NumpyScalarConverter)
    INPUT_CONVERTER[:] = [OfNumpyAlone(one) if isinstance(one, of_numpy) else one for one in INPUT_CONVERTER]


def configure(session: SparkSession, partitions: int) -> None:
    """What this job needs of its session, whatever the defaults are."""
    cores = session.sparkContext.defaultParallelism
    # as many partitions as the data needs, and no fewer than there are cores: nothing is left for Spark to merge
    session.conf.set("spark.sql.shuffle.partitions", max(partitions, cores))
    session.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    # where no row is left, Spark would cut the plan short, and forget what it counted on the way
    session.conf.set("spark.sql.adaptive.optimizer.excludedRules", EMPTY_RELATIONS)


def describe(error: BaseException) -> str:
    """An error that nobody foresaw, in one line: the message of its root where it comes from the JVM."""
    text = str(error)
    cause = getattr(error, "java_exception", None)  # what py4j brings of an error that PySpark does not know
    if isinstance(error, PySparkException):
        text = error.getMessage() or text
    elif cause is not None:
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = str(cause.toString())
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    return f"{type(error).__name__}: {first}. Remedy: see the log above"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--use-case", required=True)
    parser.add_argument("--dataset-version", type=int, required=True, help="0 is the latest")
    parser.add_argument("--run-id", required=True, help="a rerun of the same run replaces its snapshot")
    parser.add_argument("--run-date", type=dt.date.fromisoformat, required=True)
    parser.add_argument("--dry-run", action="store_true", help="validate and compute, write nothing")
    return parser.parse_args(arguments)


def failure_of(given: argparse.Namespace, sessions: OpenSession) -> str:
    """Do what was asked for. Returns what went wrong in one line, nothing if nothing did."""
    try:
        settings = load_settings()
        lake = Lake(settings.lake_root)
        use_case = get_use_case(given.use_case)
        datasets = Datasets(lake, use_case)
        dataset = datasets.get(_version(Snapshots(lake, use_case.name), given.run_id, given.dataset_version))
        # the spec may have changed since the file arrived
        check_header(dataset.columns, str(dataset.file), use_case)
        datasets.verify(dataset)
        run = FeatureRun(use_case, dataset.file, dataset.version, given.run_id, given.run_date)
        if given.dry_run:
            rehearse(sessions(shuffle_partitions(run.raw_file)), run)
            log.info("dry run: nothing was written")
        else:
            run_job(run, lake, settings.snapshots_kept, sessions, open_redis(settings))
    except PlatformError as error:
        return str(error)
    except Exception as error:
        log.exception("unexpected")
        return describe(error)
    return ""


def main() -> int:
    given = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    failure = failure_of(given, partial(open_session, f"{given.use_case}_features"))
    # Spark says goodbye first: the message is the last line of the log
    if session := SparkSession.getActiveSession():
        session.stop()
    if failure:
        log.error("feature job failed: %s", failure)
        return 1
    return 0


def _version(snapshots: Snapshots, run_id: str, asked: int) -> int:
    """A rerun of a published run that asks for the latest dataset takes the one that was the latest then."""
    before = {manifest.snapshot: manifest for manifest in snapshots.published()}.get(snapshot_id(run_id))
    return before.dataset_version if before and asked == 0 else asked


if __name__ == "__main__":
    sys.exit(main())
