"""The features of song genre: what was measured, and the label of the source."""

import datetime as dt

from pyspark.sql import SparkSession

from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import HIVE_TYPES
from use_cases.song_genre.features import compute

USE_CASE = get_use_case("song_genre")
SCHEMA = ", ".join(f"`{column.name}` {HIVE_TYPES[column.type]}" for column in USE_CASE.raw_table)
MEASURED = (68, 0.826, 0.704, 9, -7.527, 1, 0.117, 0.189, 4.8e-05, 0.0617, 0.741, 94.013, 205000)
NOT_MEASURED = (0, *[None] * 12)


def test_what_was_measured_is_taken_as_it_is(spark: SparkSession) -> None:
    raw = spark.createDataFrame([(1, *MEASURED, None, 1, 1), (382, *NOT_MEASURED, None, 452, 0)], SCHEMA)
    computed = compute(raw, dt.date(2021, 1, 1))

    assert [(name, kind.upper()) for name, kind in computed.dtypes] == [
        (name, HIVE_TYPES[kind]) for name, kind in USE_CASE.computed_table
    ]
    assert sorted(tuple(row) for row in computed.collect()) == [(1, *MEASURED, 1), (452, *NOT_MEASURED, 0)]


def test_no_feature_is_an_input_that_tells_the_sources_apart() -> None:
    assert not {"id_new", "row_number", "time_signature", "reggaeton"} & set(USE_CASE.feature_names)
