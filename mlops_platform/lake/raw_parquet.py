"""Reading a raw Parquet file once, whole, before anything believes in it."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_platform.errors import RawDataError
from mlops_platform.lake.raw_file import differences

_PANDAS_INDEX = "__index_level_0__"
_HELD_VALUES = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_timestamp,
    pa.types.is_null,
)
"""The types whose values have a text that a CSV could have had."""


def count_rows(path: Path, name: str, columns: Sequence[str]) -> int:
    """Counts the rows of a Parquet file that has these columns, in whatever order, and reads all of them.

    ``name`` is what messages call the file.

    Raises:
        RawDataError: the file is damaged, has other columns, has one that Spark cannot read as values, or has no row.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow, name, columns)
            rows: int = sum(batch.num_rows for batch in file.iter_batches())
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RawDataError(
            f"{name} is a damaged or truncated Parquet file ({error})", remedy="write it again and add it again"
        ) from None
    if rows == 0:
        raise RawDataError(f"{name} has no row", remedy="give a file with at least one row")
    return rows


def _check_columns(schema: pa.Schema, name: str, columns: Sequence[str]) -> None:
    # they are found by name, whatever their order is
    if sorted(schema.names) != sorted(columns):
        raise RawDataError(
            f"{name} has the wrong columns: {'; '.join(differences(schema.names, columns))}",
            remedy="write it with to_parquet(..., index=False)"
            if set(schema.names) - set(columns) == {_PANDAS_INDEX}
            else f"its columns must be {', '.join(map(repr, columns))}",
        )
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            raise RawDataError(
                f"{name}: the column {field.name!r} counts nanoseconds, which Spark does not read",
                remedy="write it in microseconds: to_parquet(..., coerce_timestamps='us')",
            )
        if not any(is_kind(kind) for is_kind in _HELD_VALUES):
            raise RawDataError(
                f"{name}: the column {field.name!r} is of the type {kind}, which is no number, text, date or time",
                remedy="write one value to a field",
            )
