"""Records of the log as rows of a table, and rows as the records that they were.

A record is a JSON object whose members are the columns of :func:`serving.log.schema.record_schema`; ids are text, times
are seconds since 1970.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Task
from serving.log.schema import MODEL_SHA256, record_schema

Record = dict[str, Any]
UNFIT = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, pa.ArrowException)
"""What making a row of a record raises, where the record does not fit."""
MEMBERS = frozenset(record_schema("regression", pa.string(), []).names) - {MODEL_SHA256}
"""What every record has, whatever its task."""
_WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_PARSERS: dict[str, tuple[Callable[[Any], int | float], ...]] = {"int": (int, float), "double": (float,)}


def declared_rows(records: Sequence[Record], schema: pa.Schema) -> pa.Table:
    """The records as rows of this schema.

    Raises:
        UNFIT: a record has other members, or values of other types.
    """
    columns, names = set(schema.names), {field.name for field in schema.field("features").type}
    for record in records:
        if not (record.keys() <= columns and record["features"].keys() <= names):
            raise ValueError("a record has members that the schema does not have")
    arrays = [_column(_values(records, field.name), field) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def inferred_rows(records: Sequence[Record]) -> pa.Table:
    """The records as rows of the types that their values have. A feature without any value is left out.

    Raises:
        UNFIT: what is there is no record, or a feature has values that do not go together.
    """
    features = pa.array([record["features"] for record in records])
    members = [(field.name, _narrowest(features.field(field.name))) for field in features.type]
    valued = [(name, kind) for name, kind in members if not pa.types.is_null(kind)]
    schema = record_schema(_task(records), _id_type([record["id"] for record in records]), valued)
    arrays = [_column(_values(records, field.name), field) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def logged_record(row: Record, use_case: UseCase | None) -> Record:
    """The record that a row of the table was, its features as the spec types them where it still can."""
    features = dict(row["features"])
    probabilities = row.get("probabilities")
    for feature in use_case.features if use_case else ():
        if feature.type in _PARSERS and features.get(feature.name) is not None:
            features[feature.name] = _number(features[feature.name], feature.type)
    day: dt.date | None = row["feature_date"]
    return {
        **row,
        "id": None if row["id"] is None else str(row["id"]),
        "time": row["time"].timestamp(),
        "feature_date": None if day is None else day.isoformat(),
        "features": features,
        **({} if probabilities is None else {"probabilities": dict(probabilities)}),
    }


def _number(value: Any, kind: str) -> Any:
    """A number that its column, of a wider type, holds as text or as a double; what never was one stays as it is."""
    for parse in _PARSERS[kind]:
        with contextlib.suppress(ValueError):
            if isinstance(value, str) or parse(value) == value:
                return parse(value)
    return value


def _task(records: Sequence[Record]) -> Task:
    """What the records' outcomes are of.

    Raises:
        ValueError: they are of several tasks.
    """
    tasks: set[Task] = {
        "binary" if "score" in record else "multiclass" if "probabilities" in record else "regression"
        for record in records
    }
    if len(tasks) > 1:
        raise ValueError("the records are of several tasks")
    return tasks.pop()


def _id_type(ids: Sequence[str | None]) -> pa.DataType:
    known = [one for one in ids if one is not None]
    if not known:
        return pa.null()
    return pa.int64() if all(map(_WHOLE_NUMBER.fullmatch, known)) else pa.string()


def _narrowest(values: pa.Array) -> pa.DataType:
    if not pa.types.is_int64(values.type):
        return values.type
    bounds = pc.min_max(values).as_py()
    return pa.int32() if -(2**31) <= bounds["min"] <= bounds["max"] < 2**31 else pa.int64()


def _values(records: Sequence[Record], member: str) -> list[Any]:
    return [record.get(member) if member == MODEL_SHA256 else record[member] for record in records]


def _column(values: list[Any], field: pa.Field) -> pa.Array:
    if field.name == "time":
        values = [round(value * 1_000_000) for value in values]
        return pa.array(values, pa.int64()).cast(field.type)
    if pa.types.is_integer(field.type) and field.name == "id":
        values = [None if value is None else int(value) for value in values]
    if pa.types.is_map(field.type):
        values = [list(value.items()) for value in values]
    if pa.types.is_date(field.type):
        return pa.array(values, pa.string()).cast(field.type)
    return pa.array(values, field.type)
