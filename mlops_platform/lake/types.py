"""The Arrow type of each type that a column can have, for files that are read or written without Spark."""

import pyarrow as pa

from mlops_platform.use_case.spec import ColumnType

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
    "date": pa.date32(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
