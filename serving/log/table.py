"""The prediction log as a Hive table, ``predictions.<use_case>``: its columns and its files, derived from the spec.

Grain: one model's prediction for one row of one request; ``served`` is false for a shadow's.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_platform.files import sync_folder
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.spec import HIVE_TYPES, ColumnType, UseCase

DATABASE = "predictions"
ONLINE = "online"


def table_name(use_case: UseCase) -> str:
    return f"{DATABASE}.{use_case.name}"


def folders(lake: Lake, use_case: str) -> list[Path]:
    """The folders of the table, in the order in which they were made; each holds the whole table of its time."""
    parent = lake.predictions(use_case)
    return sorted([*parent.glob(ONLINE), *parent.glob(f"{ONLINE}-*")], key=_generation)


def files_folder(lake: Lake, use_case: str) -> Path:
    """The table's location: the last of its folders, or where the first one will be."""
    return [lake.predictions(use_case) / ONLINE, *folders(lake, use_case)][-1]


def next_folder(folder: Path) -> Path:
    """Where a folder's successor is made."""
    return folder.with_name(f"{ONLINE}-{_generation(folder) + 1}")


def _generation(folder: Path) -> int:
    return int(folder.name.partition("-")[2] or 0)


def _key_type(use_case: UseCase) -> ColumnType:
    return use_case.raw_column(use_case.entity_key).type


def table_statements(use_case: UseCase, database_location: str, location: str) -> list[str]:
    """DDL that makes the table or gives it its location; the locations are URIs."""
    features = ", ".join(f"`{feature.name}`: {HIVE_TYPES[feature.type]}" for feature in use_case.features)
    columns = (
        "`request_id` STRING",
        "`position` INT",
        "`time` TIMESTAMP",
        "`use_case` STRING",
        f"`id` {HIVE_TYPES[_key_type(use_case)]}",
        "`feature_date` DATE",
        f"`features` STRUCT<{features}>",
        "`score` DOUBLE",
        "`label` INT",
        "`model_version` STRING",
        "`snapshot` STRING",
        "`variant` STRING",
        "`served` BOOLEAN",
    )
    return [
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} LOCATION '{database_location}'",
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {table_name(use_case)} (\n  "
        + ",\n  ".join(columns)
        + f"\n)\nSTORED AS PARQUET\nLOCATION '{location}'",
        f"ALTER TABLE {table_name(use_case)} SET LOCATION '{location}'",
    ]


def schema(use_case: UseCase) -> pa.Schema:
    """The schema of the table's files."""
    features = pa.struct([(feature.name, ARROW_TYPES[feature.type]) for feature in use_case.features])
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("position", pa.int32()),
            ("time", pa.timestamp("us", tz="UTC")),
            ("use_case", pa.string()),
            ("id", ARROW_TYPES[_key_type(use_case)]),
            ("feature_date", pa.date32()),
            ("features", features),
            ("score", pa.float64()),
            ("label", pa.int32()),
            ("model_version", pa.string()),
            ("snapshot", pa.string()),
            ("variant", pa.string()),
            ("served", pa.bool_()),
        ]
    )


@contextlib.contextmanager
def table_file(use_case: UseCase, target: Path) -> Iterator[Callable[[Sequence[dict[str, Any]]], None]]:
    """Gives what writes records to a file of the table, a row group at a time; it appears with all of them or not."""
    columns = schema(use_case)
    draft = target.with_name(f".{target.name}.draft")
    target.parent.mkdir(parents=True, exist_ok=True)

    def write(records: Sequence[dict[str, Any]]) -> None:
        arrays = [_column([record[field.name] for record in records], field) for field in columns]
        writer.write_table(pa.Table.from_arrays(arrays, schema=columns))

    try:
        with draft.open("wb") as file:
            with pq.ParquetWriter(file, columns) as writer:
                yield write
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(target)
    sync_folder(target.parent)


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if field.name == "time":
        values = [round(value * 1_000_000) for value in values]
        return pa.array(values, pa.int64()).cast(field.type)
    if pa.types.is_integer(field.type) and field.name == "id":
        values = [None if value is None else int(value) for value in values]
    if pa.types.is_date(field.type):
        return pa.array(values, pa.string()).cast(field.type)
    return pa.array(values, field.type)
