"""The features of a run: raw rows judged, features computed, and what one pass over them counted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F

from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.use_case.spec import HIVE_TYPES, LATEST, UseCase
from spark_jobs import judgement, raw_rows
from spark_jobs.feature_run import FeatureRun
from spark_jobs.judgement import Judged
from spark_jobs.transform import compute_of


@dataclass(frozen=True)
class Computed:
    """What one pass came to: valid rows, those of them with features out of the spec's range, and the rejected rows.

    The counts are of the pass's last stage, whose tasks count once, whatever is run again before it.
    """

    valid: int
    out_of_range: int
    rejected: Callable[[], DataFrame]


class Features:
    """The features of one run, lazily."""

    def __init__(self, session: SparkSession, lake: Lake, run: FeatureRun) -> None:
        self._use_case = run.use_case
        self._rows = raw_rows.read_dataset(session, lake, run.dataset, run.use_case)
        raw_rows.check_rules(run.use_case, self._rows)
        self._transform = compute_of(run.use_case.name)
        self._run_date = run.run_date

    def write(self, location: str, *, thoroughly: bool) -> Computed:
        """Compute them into parquet files; what is there gives way."""
        return self._compute(
            lambda features: features.write.parquet(location, mode="overwrite", compression="zstd"), thoroughly
        )

    def rehearse(self) -> Computed:
        """Compute them, judged thoroughly, and write nothing."""
        return self._compute(lambda features: features.write.format("noop").mode("overwrite").save(), thoroughly=True)

    def judge(self, *, thoroughly: bool) -> Judged:
        """The raw rows, judged each by itself, or by one another and by their features too."""
        if thoroughly:
            return judgement.judge_thoroughly(self._rows, self._use_case, self.of)
        return judgement.judge_quickly(self._rows, self._use_case)

    def good_rows_of(self, entities: Iterable[object]) -> DataFrame:
        """The raw rows of these entities that are good each by itself, typed."""
        key = self._use_case.raw_column(self._use_case.entity_key)
        few = self._rows.where(raw_rows.is_one_of(key, entities))
        return judgement.judge_quickly(few, self._use_case).valid

    def of(self, valid: DataFrame) -> DataFrame:
        """The features of valid rows, with the columns of the spec: what the transform makes of them, and which row of
        each entity is its latest.

        Raises:
            PlatformError: the transform returns other columns.
        """
        features = self._transform(valid, self._run_date)
        found = [(name, kind.upper()) for name, kind in features.dtypes]
        expected = [(name, HIVE_TYPES[kind]) for name, kind in self._use_case.computed_table]
        if found != expected:
            raise PlatformError(
                f"compute() of {self._use_case.name} returns {_listed(found)}; its spec says {_listed(expected)}",
                remedy=f"correct use_cases/{self._use_case.name}/features.py, or the spec",
            )
        return with_latest(features, self._use_case)

    def _compute(self, save: Callable[[DataFrame], None], thoroughly: bool) -> Computed:
        judged = self.judge(thoroughly=thoroughly)
        counts = Observation()
        out_of_range = raw_rows.any_of(judgement.feature_rules(self._use_case))
        save(
            self.of(judged.valid).observe(
                counts, F.count("*").alias("valid"), F.count_if(out_of_range).alias("out_of_range")
            )
        )
        return Computed(**counts.get, rejected=judged.rejected)


def with_latest(features: DataFrame, use_case: UseCase) -> DataFrame:
    """Adds ``is_latest``: 1 in the row of each entity that has the greatest event time, and of those the greatest row
    key; 0 in the others."""
    if use_case.row_key == use_case.entity_key:
        return features.select("*", F.lit(1).alias(LATEST))
    ordered_by = [F.col(name) for name in (use_case.event_time, use_case.row_key) if name is not None]
    # over all rows of the entity in whatever order: rows that a transform shuffled by entity, and sorted within it, are
    # neither shuffled nor sorted once more
    last = F.max(F.struct(*ordered_by)).over(Window.partitionBy(use_case.entity_key))
    return features.select("*", (F.struct(*ordered_by) == last).cast("int").alias(LATEST))


def _listed(columns: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)
