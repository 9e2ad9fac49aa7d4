"""A compiled transform is proven equal to what Spark wrote: what is a difference, and how the first one is told."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform.compile import TransformError
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.proof import check_equal
from mlops_platform.use_case.spec import ColumnType
from tests.mlops_platform.transform.compiling import RAW, transform

TODAY = dt.date(2021, 1, 1)
COLUMNS: tuple[tuple[str, ColumnType], ...] = (("row", "long"), ("f", "double"), ("n", "int"))
NUMBERS = (1.5, None, 3.5)


def query(sql: str = 'SELECT "row", "number" AS f, "whole" AS n FROM raw') -> CompiledTransform:
    return CompiledTransform(sql=sql, compiler={}, transform=transform("", COLUMNS))


def prove(compiled: CompiledTransform, *written: tuple[Any, ...]) -> None:
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in RAW])
    rows = [{"row": row, "number": number, "whole": row * 10} for row, number in enumerate(NUMBERS, start=1)]
    names = [name for name, _ in COLUMNS]
    features = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in written],
        pa.schema([(name, ARROW_TYPES[kind]) for name, kind in COLUMNS]),
    )
    check_equal(compiled, pa.Table.from_pylist(rows, schema), features, TODAY, "row")


def test_the_same_values_in_any_order_are_equal_and_doubles_to_twelve_digits() -> None:
    prove(query(), (3, 3.5 * (1 + 9e-13), 30), (1, 1.5, 10), (2, None, 20))


@pytest.mark.parametrize(
    ("written", "difference"),
    [
        (
            [(3, 3.6, 30), (1, 1.50000000001, 10), (2, None, 20)],
            "2 have another f in Spark than in DuckDB; the first is row 1: 1.50000000001 in Spark and 1.5 in DuckDB",
        ),
        (
            [(1, 1.5, 10), (2, 0.0, 20), (3, 3.5, 30)],
            "1 have another f in Spark than in DuckDB; the first is row 2: 0.0 in Spark and None in DuckDB",
        ),
        (
            [(1, 1.5, 10), (2, None, 20), (3, 3.5, 31)],
            "1 have another n in Spark than in DuckDB; the first is row 3: 31 in Spark and 30 in DuckDB",
        ),
    ],
)
def test_the_first_row_that_differs_is_shown_with_both_values(written: list[tuple[Any, ...]], difference: str) -> None:
    with pytest.raises(TransformError) as found:
        prove(query(), *written)
    assert found.value.what == f"made_up: of 3 rows, {difference}"


def test_a_row_more_or_less_is_a_difference() -> None:
    whole = ((1, 1.5, 10), (2, None, 20), (3, 3.5, 30))
    with pytest.raises(
        TransformError, match=r"with row 3 is computed in DuckDB, out of the rows of some entities, and"
    ):
        prove(query(), *whole[:2])
    with pytest.raises(TransformError, match=r"with row 2 is computed in Spark, out of all rows, and not in DuckDB"):
        prove(query('SELECT "row", "number" AS f, "whole" AS n FROM raw WHERE "number" IS NOT NULL'), *whole)


def test_rows_of_which_duckdb_computes_nothing_are_told() -> None:
    with pytest.raises(TransformError, match=r"of which the compiled transform makes none: .*no such row"):
        prove(query('SELECT "row", "number" AS f, error(\'no such row\') AS n FROM raw'), (1, 1.5, 10))
