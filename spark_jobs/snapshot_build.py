"""Building a snapshot: raw rows judged, features computed, written and checked, the online store filled."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from mlops_platform.errors import DataQualityError, PlatformError
from mlops_platform.lake.layout import uri
from mlops_platform.lake.snapshots import Quality, RuleFinding, SnapshotManifest, Snapshots, make_durable
from mlops_platform.online_store import embedded
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.use_case.spec import HIVE_TYPES, UseCase
from spark_jobs import quality, raw_rows, written_features
from spark_jobs.quality import REASONS, Judged
from spark_jobs.transform import compute_of

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisPublisher

RULES_NAMED = 5
"""How many broken rules an error names, the most frequent first."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureRun:
    """What one run of the job works on, and what it is called."""

    use_case: UseCase
    raw_file: Path
    dataset_version: int
    run_id: str
    run_date: dt.date


@dataclass(frozen=True)
class Attempt:
    """One attempt at a snapshot, and where it writes."""

    snapshots: Snapshots
    snapshot: str
    name: str

    @property
    def features(self) -> Path:
        return self.snapshots.features_folder(self.snapshot, self.name)

    @property
    def quarantine(self) -> Path:
        return self.snapshots.quarantine_folder(self.snapshot, self.name)

    @property
    def online(self) -> Path:
        return self.snapshots.online_file(self.snapshot, self.name)

    def relative(self, path: Path) -> str:
        """The path as manifests have it."""
        return str(path.relative_to(self.snapshots.lake.root))


@dataclass
class Stopwatch:
    """Seconds by step, in the order of the steps."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)


@dataclass(frozen=True)
class Counts:
    """What one computation counted: rows of the file, valid rows, and those of them out of the spec's range."""

    read: int
    valid: int
    broken: int

    @property
    def rejected(self) -> int:
        return self.read - self.valid


class Features:
    """The features of one run: rows judged, features computed, lazily."""

    def __init__(self, session: SparkSession, run: FeatureRun) -> None:
        self.use_case = run.use_case
        self._rows = raw_rows.read_text(session, uri(run.raw_file), run.use_case)
        self._transform = compute_of(run.use_case.name)
        self._run_date = run.run_date

    def judge(self, *, thoroughly: bool) -> Judged:
        if thoroughly:
            return quality.judge_thoroughly(self._rows, self.use_case, self.compute)
        return quality.judge_quickly(self._rows, self.use_case)

    def compute(self, valid: DataFrame) -> DataFrame:
        """The use case's features, with the columns of its spec.

        Raises:
            PlatformError: the transform returns other columns.
        """
        features = self._transform(valid, self._run_date)
        found = [(name, kind.upper()) for name, kind in features.dtypes]
        expected = [(name, HIVE_TYPES[kind]) for name, kind in self.use_case.feature_table]
        if found != expected:
            raise PlatformError(
                f"compute() of {self.use_case.name} returns {_columns(found)}; its spec says {_columns(expected)}",
                remedy=f"correct use_cases/{self.use_case.name}/features.py, or the spec",
            )
        return features

    def of(self, judged: Judged) -> tuple[DataFrame, Callable[[], Counts]]:
        """The features of the valid rows, and the counts of the pass that computes them, once it did."""
        passed = Observation()
        broken = raw_rows.any_of(quality.feature_rules(self.use_case))
        features = self.compute(judged.valid).observe(
            passed, F.count("*").alias("valid"), F.count_if(broken).alias("broken")
        )
        return features, lambda: Counts(**judged.counts.get, **passed.get)


def build(
    session: SparkSession, run: FeatureRun, attempt: Attempt, watch: Stopwatch, redis: "RedisPublisher | None" = None
) -> SnapshotManifest:
    """Write and check all files of an attempt, durably, and fill Redis if there is one. Returns the manifest.

    Raises:
        DataQualityError: too many rows were rejected, or none is left.
        SnapshotError: what was written does not fit the spec.
        PlatformError: Redis did not take the rows.
    """
    use_case, folder, quarantine = run.use_case, attempt.features, attempt.quarantine
    features = Features(session, run)

    with watch.step("features"):
        rejected, counts = _write(features, folder, thoroughly=False)
    with watch.step("checks"):
        suspicious = counts.broken or written_features.repeated_keys(folder, use_case)
    if suspicious:
        with watch.step("features"):
            rejected, counts = _write(features, folder, thoroughly=True)
    found: tuple[RuleFinding, ...] = ()
    if counts.rejected:
        with watch.step("quarantine"):
            rejected().write.parquet(uri(quarantine), mode="overwrite", compression="zstd")
            found = written_features.findings(quarantine)
    verdict = accept(use_case, counts, found)
    with watch.step("checks"):
        entities = written_features.check(folder, use_case, verdict.rows_valid)
    with watch.step("online_store"):
        embedded.build(attempt.online, written_features.latest_rows(folder, use_case))
        if redis is not None:
            _fill(redis, attempt)
    with watch.step("durable"):
        make_durable(folder)
        if found:
            make_durable(quarantine)
    return SnapshotManifest(
        snapshot=attempt.snapshot,
        use_case=use_case.name,
        attempt=attempt.name,
        dataset_version=run.dataset_version,
        run_date=run.run_date,
        created_at=dt.datetime.now(dt.UTC),
        spec_hash=use_case.spec_hash,
        rows=verdict.rows_valid,
        entities=entities,
        features_path=attempt.relative(folder),
        online_path=attempt.relative(attempt.online),
        quarantine_path=attempt.relative(quarantine) if found else None,
        quality=verdict,
        timings=watch.seconds,
    )


def rehearse(session: SparkSession, run: FeatureRun) -> Quality:
    """Validate and compute as :func:`build` would, and write nothing anywhere.

    Raises:
        PlatformError: as there.
    """
    features = Features(session, run)
    judged = features.judge(thoroughly=True)
    computed, counts = features.of(judged)
    computed.write.format("noop").mode("overwrite").save()
    rules = judged.rejected().select(F.explode(REASONS).alias("rule")).groupBy("rule").count()
    rows = rules.orderBy(F.desc("count"), "rule").collect()
    found = tuple(RuleFinding(rule=row["rule"], rows=row["count"]) for row in rows)
    return accept(run.use_case, counts(), found)


def accept(use_case: UseCase, counts: Counts, found: Sequence[RuleFinding]) -> Quality:
    """The quality of the rows, if it is good enough; logged either way.

    Raises:
        DataQualityError: it is not; names the rules that most rows broke.
    """
    verdict = Quality(
        rows_read=counts.read, rows_valid=counts.valid, rows_quarantined=counts.rejected, findings=tuple(found)
    )
    log.info("%d rows read, %d valid, %d quarantined", counts.read, counts.valid, counts.rejected)
    for finding in found:
        log.info("  %s: %d rows", finding.rule, finding.rows)
    worst = "; ".join(f"{finding.rule} ({finding.rows} rows)" for finding in found[:RULES_NAMED])
    if counts.broken:
        raise DataQualityError(
            f"{counts.broken} rows of {use_case.name} have features out of their range even without the rejected rows",
            remedy=f"compare use_cases/{use_case.name}/features.py with the ranges in the spec",
        )
    if counts.valid == 0:
        raise DataQualityError(
            f"no row of {use_case.name} is left: {counts.read} read, {counts.rejected} quarantined"
            + (f": {worst}" if worst else ""),
            remedy="correct the file and add it as a new dataset version",
        )
    share = counts.rejected / counts.read
    if share > use_case.quarantine_limit:
        raise DataQualityError(
            f"{counts.rejected} of {counts.read} rows of {use_case.name} ({share:.1%}) are quarantined, "
            f"{use_case.quarantine_limit:.1%} are tolerated: {worst}",
            remedy="correct the file and add it as a new dataset version, or raise quarantine_limit in the spec",
        )
    return verdict


def _fill(redis: "RedisPublisher", attempt: Attempt) -> None:
    """Copy the embedded store's rows; what attempts that are gone left in Redis makes room first."""
    snapshots = attempt.snapshots
    redis.keep_only(snapshots.use_case, snapshots.attempts)
    store = EmbeddedStore(attempt.online, attempt.snapshot)
    try:
        redis.fill(snapshots.use_case, attempt.snapshot, attempt.name, store.encoded_rows())
    finally:
        store.close()


def _write(features: Features, folder: Path, *, thoroughly: bool) -> tuple[Callable[[], DataFrame], Counts]:
    """Writes the features; returns what gives the rejected rows, and the counts."""
    judged = features.judge(thoroughly=thoroughly)
    computed, counts = features.of(judged)
    computed.write.parquet(uri(folder), mode="overwrite", compression="zstd")
    return judged.rejected, counts()


def _columns(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)
