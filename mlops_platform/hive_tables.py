"""The Hive tables and views of a use case, derived from its spec. Database: ``features``."""

from mlops_platform.use_case import HIVE_TYPES, UseCase

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
    return f"CREATE DATABASE IF NOT EXISTS {DATABASE} LOCATION '{location}'"


def create_history_table(use_case: UseCase, location: str) -> str:
    """DDL of the external table; ``location`` is the URI of the use case's folder of features."""
    columns = ",\n  ".join(f"`{name}` {HIVE_TYPES[kind]}" for name, kind in use_case.feature_table)
    return (
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {history_table(use_case)} (\n  {columns}\n)\n"
        f"PARTITIONED BY (snapshot STRING)\nSTORED AS PARQUET\nLOCATION '{location}'"
    )


def publish_statements(use_case: UseCase, snapshot: str) -> list[str]:
    """DDL that points both views at a snapshot; each statement is one atomic change in the metastore."""
    columns = ", ".join(f"`{name}`" for name, _ in use_case.feature_table if name != "is_latest")
    published = f"FROM {history_table(use_case)} WHERE snapshot = '{snapshot}'"
    return [
        f"CREATE OR REPLACE VIEW {current_view(use_case)} AS SELECT * {published}",
        f"CREATE OR REPLACE VIEW {latest_view(use_case)} AS SELECT {columns}, snapshot {published} AND is_latest = 1",
    ]
