"""Judging raw rows: the valid ones typed, the rejected ones as they came, each with its reasons.

Most files have no bad row, so the quick judgement only asks of each row, in the one pass that computes the features,
if anything is wrong with it. What one row does not tell needs the thorough judgement, which costs further shuffles:

=============================  =======================================================================
``k: occurs more than once``   a row key that several rows have: of equal rows one is kept, of differing
                               ones none, since nothing says which of them is right
``f: below minimum``           a feature out of the spec's range (``missing``, ``not allowed``, … likewise):
                               the raw row that it comes from is rejected, and no other row counts it
=============================  =======================================================================
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyspark.sql import Column, DataFrame, Observation, Window
from pyspark.sql import functions as F

from mlops_platform.use_case.spec import UseCase
from spark_jobs import raw_rows
from spark_jobs.raw_rows import Rejection

REASONS = "reasons"
_KEY, _CONTENT, _REPEATED, _REJECTED = "_key", "_content", "_repeated", "_rejected"


@dataclass(frozen=True)
class Judged:
    """``valid``: raw columns, typed.

    ``rejected`` gives the raw columns as text, and ``reasons``, an array of rules. It is called only where a row was
    rejected: to plan it takes as long as to plan the valid rows, and most files have none.
    """

    valid: DataFrame
    rejected: Callable[[], DataFrame]


def judge_quickly(rows: DataFrame, use_case: UseCase) -> Judged:
    """Judges each row by itself."""
    rejects = raw_rows.any_of(raw_rows.row_rules(use_case)).alias(_REJECTED)
    judged = raw_rows.with_values(rows, use_case).select(*raw_rows.values(use_case), rejects)
    valid = _barrier(judged).where(f"NOT {_REJECTED}").drop(_REJECTED)
    return Judged(valid, partial(_bad, rows, use_case))


def judge_thoroughly(rows: DataFrame, use_case: UseCase, compute: Callable[[DataFrame], DataFrame]) -> Judged:
    """Judges each row by itself, by the other rows of its key, and by the features that come of it."""
    keyed = _keyed(_good(rows, use_case), use_case)
    single = keyed.where(f"NOT {_REPEATED}")
    broken = compute(single.select(*raw_rows.values(use_case))).select(
        F.col(use_case.row_key).alias(_KEY), raw_rows.reasons(feature_rules(use_case)).alias(REASONS)
    )
    broken = broken.where(F.size(REASONS) > 0)

    def rejected() -> DataFrame:
        repeated = keyed.where(_REPEATED).select(*raw_rows.texts(use_case), _repeated_reason(use_case))
        out_of_range = single.join(broken, on=_KEY, how="inner").select(*raw_rows.texts(use_case), REASONS)
        return _bad(rows, use_case).unionByName(repeated).unionByName(out_of_range)

    valid = single.join(broken, on=_KEY, how="left_anti").select(*raw_rows.values(use_case))
    return Judged(valid, rejected)


def feature_rules(use_case: UseCase) -> list[Rejection]:
    """What may be wrong with a row of features."""
    rules: list[Rejection] = []
    for feature in use_case.features:
        name = f"`{feature.name}`"
        if not feature.nullable:
            rules.append((f"{feature.name}: missing", f"{name} IS NULL"))
        if feature.type == "double":
            rules.append((f"{feature.name}: no double", f"NOT {raw_rows.is_finite(name)}"))
        rules += raw_rows.bounds(feature, f"cast({name} AS string)", name)
    return rules


def _barrier(rows: DataFrame) -> DataFrame:
    """The same rows; no filter of what comes after is moved before it, where it would parse each value once more.

    That is what observing does. What it counts is asked by nobody: a map task that runs again counts a second time.
    """
    return rows.observe(Observation(), F.count("*").alias("rows"))


def _good(rows: DataFrame, use_case: UseCase) -> DataFrame:
    return raw_rows.with_values(rows, use_case).where(~raw_rows.any_of(raw_rows.row_rules(use_case)))


def _bad(rows: DataFrame, use_case: UseCase) -> DataFrame:
    rules = raw_rows.row_rules(use_case)
    bad = raw_rows.with_values(rows, use_case).where(raw_rows.any_of(rules))
    return bad.select(*raw_rows.texts(use_case), raw_rows.reasons(rules).alias(REASONS))


def _keyed(rows: DataFrame, use_case: UseCase) -> DataFrame:
    """Adds the key as a value, by which 7 and 07 are one key, and whether the row is rejected for having it."""
    # a struct is compared field by field, and an empty field is one of its own; no hash can say as much
    content = F.struct(*raw_rows.texts(use_case)).alias(_CONTENT)
    same_key = Window.partitionBy(_KEY)
    differ = F.min(_CONTENT).over(same_key) != F.max(_CONTENT).over(same_key)
    is_copy = F.row_number().over(same_key.orderBy(F.col(_CONTENT).asc())) > 1
    keyed = rows.select("*", F.col(use_case.row_key).alias(_KEY), content)
    return keyed.select("*", (differ | is_copy).alias(_REPEATED)).drop(_CONTENT)


def _repeated_reason(use_case: UseCase) -> Column:
    return F.array(F.lit(f"{use_case.row_key}: occurs more than once")).alias(REASONS)
