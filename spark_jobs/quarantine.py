"""Rejected rows: written as they came, with their reasons, or only counted."""

from collections import Counter
from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import RuleFinding
from spark_jobs.acceptance import Rejected
from spark_jobs.judgement import REASONS


def write(rejected: DataFrame, lake: Lake, prefix: str) -> Rejected:
    """Write the rows below a prefix of the lake, durably; what is there gives way. Returns what was written."""
    location = lake.uri(prefix)
    rejected.write.parquet(location, mode="overwrite", compression="zstd")
    lake.make_durable(prefix)
    return count(rejected.sparkSession.read.schema(rejected.schema).parquet(location))


def count(rejected: DataFrame) -> Rejected:
    """Count the rows, and by rule those that broke it."""
    by_reasons = rejected.groupBy(REASONS).agg(F.count("*").alias("rows")).collect()
    return _rejected((row[REASONS], row["rows"]) for row in by_reasons)


def _rejected(by_reasons: Iterable[tuple[list[str], int]]) -> Rejected:
    total, by_rule = 0, Counter[str]()
    for reasons, rows in by_reasons:
        total += rows
        for rule in reasons:
            by_rule[rule] += rows
    ordered = sorted(by_rule.items(), key=lambda entry: (-entry[1], entry[0]))
    return Rejected(total, tuple(RuleFinding(rule=rule, rows=rows) for rule, rows in ordered))
