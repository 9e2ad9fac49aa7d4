"""The features of Titanic: every one by value, for passengers of whom much is known, and little."""

import datetime as dt
from typing import Any

from pyspark.sql import SparkSession

from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import HIVE_TYPES
from use_cases.titanic.features import compute

USE_CASE = get_use_case("titanic")
SCHEMA = ", ".join(f"{column.name} {HIVE_TYPES[column.type]}" for column in USE_CASE.raw)
BRAUND = (1, 0, 3, "Braund, Mr. Owen Harris", "male", 22.0, 1, 0, "A/5 21171", 7.25, None, "S")
CUMINGS = (2, 1, 1, "Cumings, Mrs. John Bradley", "female", 38.0, 1, 0, "PC 17599", 71.2833, "C85", "C")
NOBODY = (3, None, 2, "Nobody", "male", None, 0, 2, "0", None, None, None)


def test_what_is_known_is_taken_as_it_is(spark: SparkSession) -> None:
    raw = spark.createDataFrame([BRAUND, CUMINGS, NOBODY], SCHEMA)
    computed = compute(raw, dt.date(2021, 1, 1))

    assert [(name, kind.upper()) for name, kind in computed.dtypes] == [
        (name, HIVE_TYPES[kind]) for name, kind in USE_CASE.computed_table
    ]
    found: list[tuple[Any, ...]] = [tuple(row) for row in computed.orderBy("passenger_id").collect()]
    assert found == [
        (1, 22.0, 1, 0, 7.25, "S", "male", 3, 0),
        (2, 38.0, 1, 0, 71.2833, "C", "female", 1, 1),
        (3, None, 0, 2, None, None, "male", 2, None),
    ]
