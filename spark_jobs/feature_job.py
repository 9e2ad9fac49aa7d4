"""The feature job: a raw dataset in, a published snapshot of features out. Submitted by the features DAG.

Whatever goes wrong, the last line of the log says what in one sentence, and the snapshot that was published before
still is. The exit code is 1 if another attempt would end the same way, ``EX_TEMPFAIL`` (75) if it may not.
"""

import argparse
import datetime as dt
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.settings import PlatformSettings, load_settings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase
from spark_jobs.attempt import Attempt
from spark_jobs.feature_run import FeatureRun
from spark_jobs.publication import publish
from spark_jobs.session import open_session, shuffle_partitions
from spark_jobs.snapshot_build import build, rehearse
from spark_jobs.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisPublisher

log = logging.getLogger(__name__)


OpenSession = Callable[[int], SparkSession]
"""Opens a session that shuffles into so many partitions."""


@dataclass(frozen=True)
class Failure:
    """What went wrong, in one line, and whether another attempt may go well."""

    message: str
    transient: bool

    @property
    def exit_code(self) -> int:
        return os.EX_TEMPFAIL if self.transient else 1


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
            session = sessions(shuffle_partitions(run.dataset))
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
    current = snapshots.current()
    if current is not None and current.snapshot != snapshot:
        log.info("the current snapshot stays %s, which is of a later day", current.snapshot)
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


def plan(lake: Lake, use_case: UseCase, given: argparse.Namespace) -> FeatureRun:
    """The run that was asked for, on a dataset that was verified. A run that was published keeps to its dataset.

    Raises:
        SnapshotError: it is asked to publish another dataset than the one it published.
        RawDataError: there is no such dataset, it was changed, or it is of an older spec.
    """
    before = Snapshots(lake, use_case.name).find(snapshot_id(given.run_id))
    if before is not None and given.dataset_version not in (0, before.dataset_version):
        raise SnapshotError(
            f"the run {given.run_id} published dataset version {before.dataset_version} as snapshot "
            f"{before.snapshot}; it cannot publish version {given.dataset_version} under the same name",
            remedy=f"start a new run: `mlops run {use_case.name} features`",
        )
    datasets = Datasets(lake, use_case)
    dataset = datasets.get(before.dataset_version if before else given.dataset_version)
    # the spec may have changed since the file arrived
    datasets.check_columns(dataset)
    datasets.verify(dataset)
    return FeatureRun(use_case, dataset, given.run_id, given.run_date)


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


def failure_of(given: argparse.Namespace, sessions: OpenSession) -> Failure | None:
    """Do what was asked for. Returns what went wrong, None if nothing did."""
    try:
        settings = load_settings()
        lake = Lake(settings.lake_root)
        run = plan(lake, get_use_case(given.use_case), given)
        if given.dry_run:
            rehearse(sessions(shuffle_partitions(run.dataset)), lake, run)
            log.info("dry run: nothing was written")
        else:
            run_job(run, lake, settings.snapshots_kept, sessions, open_redis(settings))
    except PlatformError as error:
        return Failure(str(error), error.transient)
    except Exception as error:
        log.exception("unexpected")
        return Failure(describe(error), transient=True)
    return None


def main() -> int:
    given = parse()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("py4j").setLevel(logging.WARNING)
    failure = failure_of(given, partial(open_session, f"{given.use_case}_features"))
    # Spark says goodbye first: the message is the last line of the log
    if session := SparkSession.getActiveSession():
        session.stop()
    if failure is None:
        return 0
    log.error("feature job failed: %s", failure.message)
    return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
