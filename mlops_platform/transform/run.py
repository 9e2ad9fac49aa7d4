"""Computing features with a compiled transform."""

import datetime as dt

import pyarrow as pa

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform.compiled import RAW, RUN_DATE, CompiledTransform
from mlops_platform.transform.engine import connect
from mlops_platform.use_case.spec import ColumnType


def compute(compiled: CompiledTransform, rows: pa.Table, run_date: dt.date) -> pa.Table:
    """The features of raw rows: the columns of ``UseCase.computed_table``, in no certain order of rows.

    Args:
        rows: the columns of ``UseCase.raw_table``, with their types.

    Raises:
        duckdb.Error: a formula fails on a value.
    """
    transform = compiled.transform
    given = pa.schema([(name, _in_duckdb(kind)) for name, kind in transform.raw])
    parameters = {RUN_DATE: run_date} if compiled.takes_run_date else {}
    with connect() as connection:
        connection.register(RAW, rows.select(given.names).cast(given))
        found = connection.sql(compiled.sql, params=parameters).to_arrow_table()
    # DuckDB knows no case in a column's name, and sqlframe writes small letters
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in transform.columns])
    return found.rename_columns(schema.names).cast(schema)


def _in_duckdb(kind: ColumnType) -> pa.DataType:
    # a time is one in UTC there, and says no zone
    return pa.timestamp("us") if kind == "timestamp" else ARROW_TYPES[kind]
