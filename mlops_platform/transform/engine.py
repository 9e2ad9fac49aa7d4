"""DuckDB, set up so that it does as Spark does here, and nothing that a formula has no business with."""

import duckdb

from mlops_platform.use_case.spec import ColumnType

DUCKDB_TYPES: dict[ColumnType, str] = {
    "int": "INTEGER",
    "long": "BIGINT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "date": "DATE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",  # in UTC
}
"""DuckDB's name of each type that a column can have."""


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory, of one thread, that reads no file, no network and no variable of Python's."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection
