"""Proof that a compiled transform gives what Spark wrote, on rows of a snapshot of its own."""

import datetime as dt

import duckdb
import pyarrow as pa

from mlops_platform.transform.compile import TransformError
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.run import compute

LARGEST_DIFFERENCE = 1e-12
"""Of two doubles, relative to the greater one. Everything else has to be equal."""


def check_equal(compiled: CompiledTransform, raw: pa.Table, written: pa.Table, run_date: dt.date, row_key: str) -> None:
    """Check that the compiled transform computes, of raw rows, the features that were written.

    Args:
        raw: all rows of some entities, with the columns and types of ``UseCase.raw_table``.
        written: their features; further columns are not looked at.

    Raises:
        TransformError: a row or a value differs; shows the first row of the first column that differs, and both values.
    """
    use_case = compiled.transform.use_case
    try:
        computed = compute(compiled, raw, run_date)
    except duckdb.Error as error:
        raise TransformError(
            f"{use_case}: Spark computed features of rows of which the compiled transform makes none: {error}",
            remedy=_REMEDY.format("that formula"),
        ) from None
    with duckdb.connect() as connection:
        connection.register("in_spark", written)
        connection.register("in_duckdb", computed)
        _check_rows(connection, use_case, row_key)
        for name, kind in compiled.transform.columns:
            found = _first_difference(connection, row_key, name, is_double=kind == "double")
            if found is not None:
                rows, key, spark, other = found
                raise TransformError(
                    f"{use_case}: of {written.num_rows} rows, {rows} have another {name} in Spark than in DuckDB; the "
                    f"first is {row_key} {key!r}: {spark!r} in Spark and {other!r} in DuckDB",
                    remedy=_REMEDY.format(name),
                )


_REMEDY = "write {} in another way; docs/transforms.md lists what both do differently"


_ENGINES = {"spark": "Spark", "duckdb": "DuckDB"}
_ROWS = {"spark": "all rows", "duckdb": "the rows of some entities"}


def _check_rows(connection: duckdb.DuckDBPyConnection, use_case: str, row_key: str) -> None:
    key = _quoted(row_key)
    for one, other in (("spark", "duckdb"), ("duckdb", "spark")):
        row = connection.execute(
            f"SELECT {key} FROM in_{one} EXCEPT ALL SELECT {key} FROM in_{other} ORDER BY ALL LIMIT 1"  # noqa: S608
        ).fetchone()
        if row is not None:
            raise TransformError(
                f"{use_case}: a row of features with {row_key} {row[0]!r} is computed in {_ENGINES[one]}, out of "
                f"{_ROWS[one]}, and not in {_ENGINES[other]}, out of {_ROWS[other]}",
                remedy="return one row for each raw row, whatever rows of other entities there are",
            )


def _first_difference(
    connection: duckdb.DuckDBPyConnection, row_key: str, name: str, *, is_double: bool
) -> tuple[int, object, object, object] | None:
    """How many rows differ, and of the first its key and both values; None where none does."""
    key, spark, other = _quoted(row_key), f"s.{_quoted(name)}", f"d.{_quoted(name)}"
    differs = f"{spark} IS DISTINCT FROM {other}"
    if is_double:
        bound = f"{LARGEST_DIFFERENCE!r} * greatest(abs({spark}), abs({other}))"
        differs += f" AND NOT coalesce(abs({spark} - {other}) <= {bound}, false)"
    row = connection.execute(
        f"SELECT count(*) OVER (), s.{key}, {spark}, {other} FROM in_spark s JOIN in_duckdb d ON s.{key} = d.{key} "  # noqa: S608
        f"WHERE {differs} ORDER BY 2 LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2], row[3])


def _quoted(name: str) -> str:
    return f'"{name}"'
