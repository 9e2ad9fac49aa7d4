"""The Hive tables and views of a use case, derived from its spec. Database: ``features``."""

from collections.abc import Mapping

from mlops_platform.errors import PlatformError
from mlops_platform.use_case.spec import HIVE_TYPES, LATEST, PARTITION, UseCase

DATABASE = "features"


def history_table(use_case: UseCase) -> str:
    """Every kept snapshot, partitioned by ``snapshot``. Grain: one raw row per snapshot."""
    return f"{DATABASE}.{use_case.name}"


def current_view(use_case: UseCase) -> str:
    """The published snapshot. Grain: one raw row."""
    return f"{DATABASE}.{use_case.name}_current"


def latest_view(use_case: UseCase) -> str:
    """The published snapshot's latest row of each entity. Grain: one entity."""
    return f"{DATABASE}.{use_case.name}_latest"


def create_database(location: str) -> str:
    return f"CREATE DATABASE IF NOT EXISTS {DATABASE} LOCATION {text_literal(location)}"


def create_history_table(use_case: UseCase, location: str) -> str:
    """DDL of the external table; ``location`` is where the use case's features lie."""
    columns = ",\n  ".join(f"`{name}` {HIVE_TYPES[kind]}" for name, kind in use_case.feature_table)
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {history_table(use_case)} (\n  {columns}\n)\n"
        f"PARTITIONED BY ({PARTITION} STRING)\nSTORED AS PARQUET\nLOCATION {text_literal(location)}"
    )


def evolve_history_table(use_case: UseCase, found: Mapping[str, str]) -> list[str]:
    """DDL that adds the spec's new columns to a table that has the columns ``found`` (name to Hive type).

    A column that the spec no longer has stays in the table, and is null in new snapshots. Hive knows no case in names.

    Raises:
        PlatformError: a column changed its type; the snapshots of before cannot be read with the new one.
    """
    known = {name.lower(): kind.upper() for name, kind in found.items()}
    for name, kind in use_case.feature_table:
        if known.get(name.lower(), HIVE_TYPES[kind]) != HIVE_TYPES[kind]:
            raise PlatformError(
                f"{history_table(use_case)} has {name} as {known[name.lower()]}, its spec says {HIVE_TYPES[kind]}",
                remedy=f"give the feature a new name, or DROP TABLE {history_table(use_case)} (the files stay) "
                "and run the features DAG",
            )
    new = [f"`{name}` {HIVE_TYPES[kind]}" for name, kind in use_case.feature_table if name.lower() not in known]
    return [f"ALTER TABLE {history_table(use_case)} ADD COLUMNS ({', '.join(new)})"] if new else []


def put_partition(use_case: UseCase, snapshot: str, location: str) -> list[str]:
    """DDL after which the snapshot's partition is there and lies at this location, wherever it was before."""
    partition = f"PARTITION ({PARTITION} = {text_literal(snapshot)})"
    table = history_table(use_case)
    return [
        f"ALTER TABLE {table} ADD IF NOT EXISTS {partition} LOCATION {text_literal(location)}",
        f"ALTER TABLE {table} {partition} SET LOCATION {text_literal(location)}",
    ]


def drop_partition(use_case: UseCase, snapshot: str) -> str:
    """DDL that forgets a snapshot; the files of an external table stay."""
    partition = f"PARTITION ({PARTITION} = {text_literal(snapshot)})"
    return f"ALTER TABLE {history_table(use_case)} DROP IF EXISTS {partition}"


def move_views(use_case: UseCase, snapshot: str) -> list[str]:
    """DDL that points both views at a snapshot.

    A view that exists is altered, which the metastore does in one step. CREATE OR REPLACE would drop it first, and a
    reader in between would find none.
    """
    columns = [f"`{name}`" for name, _ in use_case.feature_table]
    published = f"FROM {history_table(use_case)} WHERE {PARTITION} = {text_literal(snapshot)}"
    current = f"SELECT {', '.join([*columns, PARTITION])} {published}"
    kept = [column for column in columns if column != f"`{LATEST}`"]
    latest = f"SELECT {', '.join([*kept, PARTITION])} {published} AND {LATEST} = 1"
    statements = []
    for view, query in ((current_view(use_case), current), (latest_view(use_case), latest)):
        statements += [f"CREATE VIEW IF NOT EXISTS {view} AS {query}", f"ALTER VIEW {view} AS {query}"]
    return statements


def text_literal(value: str) -> str:
    """The text as a literal of Hive's SQL, and of Spark's."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
