"""Duplicates are counted exactly, whatever the columns are and however the rows are cut."""

import datetime as dt
import random
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs.duplicates import count_duplicates


def batch(*values: Any, kind: pa.DataType) -> pa.RecordBatch:
    return pa.record_batch([pa.array(values, kind)], names=["a"])


@pytest.mark.parametrize(
    ("values", "kind", "duplicates"),
    [
        ((1, 2, 1, None, None, 0), pa.int32(), 2),
        ((2**62, -(2**62), 2**62), pa.int64(), 1),
        ((0.0, -0.0, 0.1 + 0.2, 0.3, None, None), pa.float64(), 2),
        (("", None, "a", "a", "ä"), pa.string(), 1),
        ((True, False, None, True), pa.bool_(), 1),
        ((dt.date(1970, 1, 1), None, dt.date(1970, 1, 1)), pa.date32(), 1),
        ((0, 1, None, 1), pa.timestamp("us", tz="UTC"), 1),
    ],
)
def test_equal_values_are_equal_and_a_null_is_none_of_them(
    values: tuple[Any, ...], kind: pa.DataType, duplicates: int
) -> None:
    assert count_duplicates([batch(*values, kind=kind)]) == duplicates


def test_columns_do_not_stand_for_one_another_and_batches_are_one() -> None:
    rows = pa.record_batch({"a": [1, 2, 1], "b": [2, 1, 2], "c": [None, None, None]})
    assert count_duplicates([rows]) == 1
    assert count_duplicates([rows, rows]) == 4
    assert count_duplicates([]) == 0


def test_among_many_rows_the_count_is_that_of_a_set() -> None:
    draw = random.Random(7)
    rows = [(draw.randrange(300), draw.choice([0.5, None]), draw.choice("abc")) for _ in range(5000)]
    columns = dict(zip("xyz", map(list, zip(*rows, strict=True)), strict=True))
    table = pa.table(columns)
    assert count_duplicates(table.to_batches(max_chunksize=700)) == len(rows) - len(set(rows))
