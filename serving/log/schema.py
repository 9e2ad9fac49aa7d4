"""The columns of the prediction log, and how they follow a spec that changes.

A table's columns only ever grow: a new feature is a new member of ``features``, one that is gone stays and is null from
then on, and where a type changed the column takes the type that holds both: int, then double, then string.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.spec import HIVE_TYPES, UseCase
from mlops_platform.use_case.task import Task

MODEL_SHA256 = "model_sha256"
"""The digest of the manifest of the model that answered: null in records of before there was this column."""

_OUTCOME: dict[Task, list[tuple[str, pa.DataType]]] = {
    "binary": [("score", pa.float64()), ("label", pa.int32())],
    "multiclass": [("probabilities", pa.map_(pa.string(), pa.float64())), ("label", pa.string())],
    "regression": [("label", pa.float64())],
}
"""Of an outcome: ``label`` is the prediction, ``score`` the probability of a 1, ``probabilities`` are by class."""

_HIVE_TYPES: dict[pa.DataType, str] = {ARROW_TYPES[kind]: name for kind, name in HIVE_TYPES.items()}
_WIDER: dict[frozenset[pa.DataType], pa.DataType] = {
    frozenset([pa.int32(), pa.int64()]): pa.int64(),
    frozenset([pa.int32(), pa.float64()]): pa.float64(),
}
"""The type that holds the values of both, exactly; of all other pairs it is text."""


def record_schema(task: Task, id_type: pa.DataType, features: Iterable[tuple[str, pa.DataType]]) -> pa.Schema:
    """The columns of records. Grain: one model's prediction for one row of one request; ``served`` is false for a
    shadow's."""
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("position", pa.int32()),
            ("time", pa.timestamp("us", tz="UTC")),
            ("use_case", pa.string()),
            ("id", id_type),
            ("feature_date", pa.date32()),
            ("features", pa.struct(list(features))),
            *_OUTCOME[task],
            ("model_version", pa.string()),
            ("snapshot", pa.string()),
            ("variant", pa.string()),
            ("served", pa.bool_()),
            (MODEL_SHA256, pa.string()),
        ]
    )


def declared_schema(use_case: UseCase) -> pa.Schema:
    """The columns of records as the use case's spec says."""
    return record_schema(
        use_case.task,
        ARROW_TYPES[use_case.raw_column(use_case.entity_key).type],
        [(feature.name, ARROW_TYPES[feature.type]) for feature in use_case.features],
    )


def union(*schemas: pa.Schema) -> pa.Schema:
    """All columns of all, in the order in which they first appear, each of a type that holds the values of all.

    What has no type anywhere, since it has no value, is text.
    """
    return pa.schema(list(_union_type(*(pa.struct(list(schema)) for schema in schemas))))


def _union_type(*types: pa.DataType) -> pa.DataType:
    known = list(dict.fromkeys(one for one in types if not pa.types.is_null(one)))
    if not known:
        return pa.string()
    if all(pa.types.is_struct(one) for one in known):
        members: dict[str, list[pa.DataType]] = {}
        for field in (field for struct in known for field in struct):
            members.setdefault(field.name, []).append(field.type)
        return pa.struct([(name, _union_type(*found)) for name, found in members.items()])
    widest = known[0]
    for one in known[1:]:
        if one != widest:
            widest = _WIDER.get(frozenset([one, widest]), pa.string())
    return widest


def is_within(schema: pa.Schema, whole: pa.Schema) -> bool:
    """Whether a file of the one schema can be read as part of a table of the other: no column has another type."""
    return _is_within(pa.struct(list(schema)), pa.struct(list(whole)))


def _is_within(one: pa.DataType, whole: pa.DataType) -> bool:
    if not (pa.types.is_struct(one) and pa.types.is_struct(whole)):
        return bool(one == whole)
    types = {field.name: field.type for field in whole}
    return all(field.name in types and _is_within(field.type, types[field.name]) for field in one)


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with exactly these columns: missing ones null, values of narrower types in the wider form."""
    whole = pa.StructArray.from_arrays([column.combine_chunks() for column in rows.columns], names=rows.column_names)
    return pa.Table.from_struct_array(_conform(whole, pa.struct(list(schema))))


def _conform(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    if values.type == wanted:
        return values
    if not pa.types.is_struct(wanted):
        return pc.cast(values, wanted)
    members = [
        _conform(values.field(field.name), field.type)
        if values.type.get_field_index(field.name) >= 0
        else pa.nulls(len(values), field.type)
        for field in wanted
    ]
    return pa.StructArray.from_arrays(members, fields=list(wanted))


def hive_columns(schema: pa.Schema) -> str:
    """The columns as Hive's DDL names them."""
    return ", ".join(f"`{field.name}` {_hive_type(field.type)}" for field in schema)


def _hive_type(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):  # which as a file has it is equal to another, and has another hash
        return f"MAP<{_hive_type(kind.key_type)}, {_hive_type(kind.item_type)}>"
    if not pa.types.is_struct(kind):
        return _HIVE_TYPES[kind]
    return f"STRUCT<{', '.join(f'`{field.name}`: {_hive_type(field.type)}' for field in kind)}>"
