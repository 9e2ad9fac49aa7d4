"""What a compiled transform gives in DuckDB is what Spark gives, formula by formula, on awkward rows."""

import datetime as dt
import inspect
import math
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform.compiled import Transform
from mlops_platform.transform.run import compute
from mlops_platform.use_case.spec import ColumnType
from tests.mlops_platform.transform.compiling import RAW, compiled
from tests.spark_jobs import formulas

RUN_DATE = dt.date(2021, 1, 1)
D = dt.date
ROWS: tuple[tuple[Any, ...], ...] = (
    # row, who, day, whole, long, number, text
    (1, "a", D(2020, 1, 31), 3, 7, 2.5, "Braund, Mr. Owen 21"),
    (2, "a", D(2020, 2, 29), -7, 2, 2.675, "Miss"),
    (3, "a", None, 0, 3, -2.5, "Mrs"),
    (4, "a", D(2020, 2, 29), 6, 1, 0.285, " M. Dr.  "),
    (5, "b", D(1999, 12, 31), None, 5, None, None),
    (6, "b", D(2019, 12, 30), 2_000_000_000, 9, 1e-9, ""),
    (7, "b", None, 1, 4, 1e9 + 0.5, "a, b, c"),
    (8, "c", D(2024, 2, 29), 5, 8, 0.0, "Zoë Ünal, M. ,"),
    (9, "d", D(1582, 10, 15), -1, 6, -0.5, "x1y22"),
    (10, "d", D(2020, 12, 31), 9, 2, 1.005, "a.b.c"),
    (11, "d", D(2020, 12, 31), 9, 2, 123456.785, "Miss. 7 Mrs."),
    (12, None, D(2020, 3, 1), 9, 2, 0.5, "no one"),
)
SPARK_TYPES: dict[str, ColumnType] = {
    "int": "int",
    "bigint": "long",
    "double": "double",
    "string": "string",
    "date": "date",
}


def test_every_formula_gives_the_same_in_both_engines(spark: SparkSession) -> None:
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in RAW])
    rows = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in ROWS], schema)
    computed = formulas.compute(spark.createDataFrame(rows), RUN_DATE)
    columns = tuple((name, SPARK_TYPES[kind]) for name, kind in computed.dtypes)
    expected = {row["row"]: row.asDict() for row in computed.collect()}

    one = Transform(
        use_case="made_up",
        raw=RAW,
        columns=columns,
        sources={"features.py": inspect.getsource(formulas)},
    )
    found = {row["row"]: row for row in compute(compiled(one), rows, RUN_DATE).to_pylist()}

    assert sorted(found) == sorted(expected) == list(range(1, 13))
    differing = {
        (name, row): (expected[row][name], found[row][name])
        for name, _ in columns
        for row in expected
        if not same(expected[row][name], found[row][name])
    }
    assert differing == {}


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=0.0)
    return one == other
