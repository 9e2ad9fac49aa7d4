"""Which row of an entity is its latest: the platform's work, for every use case."""

import datetime as dt

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mlops_platform.use_case.spec import HIVE_TYPES, UseCase
from spark_jobs.features import with_latest
from use_cases.credit_risk.features import compute
from use_cases.credit_risk.synthetic import generate

DAYS = "loan_id BIGINT, id BIGINT, loan_date DATE"


def latest(rows: DataFrame, use_case: UseCase) -> list[int]:
    """The loans that are the latest of their customers."""
    marked = with_latest(rows, use_case).orderBy("loan_id").collect()
    assert {row["is_latest"] for row in marked} <= {0, 1}
    return [row["loan_id"] for row in marked if row["is_latest"] == 1]


@pytest.fixture
def loans(spark: SparkSession) -> DataFrame:
    """Of customer 7, the greatest loan_id is not on the last day, which has two; customer 8 has one loan."""
    first, last = dt.date(2019, 2, 1), dt.date(2020, 3, 1)
    return spark.createDataFrame([(9, 7, first), (2, 7, last), (3, 7, last), (1, 8, first)], DAYS)


def test_the_last_event_counts_and_of_several_on_that_day_the_greatest_row_key(
    loans: DataFrame, credit_risk: UseCase
) -> None:
    assert latest(loans, credit_risk) == [1, 3]


def test_without_event_time_the_greatest_row_key_counts(loans: DataFrame, credit_risk: UseCase) -> None:
    assert latest(loans, credit_risk.model_copy(update={"event_time": None})) == [1, 9]


def test_where_rows_are_entities_each_is_the_latest_and_nothing_is_shuffled(
    loans: DataFrame, credit_risk: UseCase
) -> None:
    marked = credit_risk.model_copy(update={"entity_key": "loan_id"})

    assert latest(loans, marked) == [1, 2, 3, 9]
    assert "Exchange" not in with_latest(loans, marked)._jdf.queryExecution().executedPlan().toString()


def test_what_a_transform_shuffled_and_sorted_by_entity_is_not_shuffled_or_sorted_again(
    spark: SparkSession, credit_risk: UseCase
) -> None:
    schema = ", ".join(f"{column.name} {HIVE_TYPES[column.type]}" for column in credit_risk.raw)
    raw = spark.createDataFrame(generate(20, seed=1).to_pylist(), schema)
    plan = with_latest(compute(raw, dt.date(2021, 1, 1)), credit_risk)._jdf.queryExecution().executedPlan().toString()

    assert plan.count("Exchange") == 1
    assert plan.count("Sort [") == 1


def test_neither_order_nor_partitioning_matter(loans: DataFrame, credit_risk: UseCase) -> None:
    assert latest(loans.repartition(5, "loan_date").orderBy(F.desc("loan_id")), credit_risk) == [1, 3]
