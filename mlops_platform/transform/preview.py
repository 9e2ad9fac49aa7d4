"""The features of some raw rows, computed here and now: what a transform does is seen before anything runs."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from mlops_platform.errors import PlatformError, RawDataError
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform.compile import TransformError, compile_transform
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.run import compute
from mlops_platform.use_case.ids import parse_id
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.synthetic import get_generator


def features_of(
    use_case: UseCase,
    run_date: dt.date,
    *,
    generated: int,
    file: Path | None = None,
    entity_id: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """The columns of ``UseCase.computed_table``, in the order of entity, event time and row key.

    Args:
        generated: how many rows are made up, where no file is given.
        file: a CSV file with the raw columns.
        entity_id: only this entity's rows.

    Raises:
        TransformError: the transform cannot be compiled, or fails on a value.
        RawDataError: the file is none of this use case, or has a value that is none of its column's type.
        PlatformError: there is no generator of raw rows, or no row of the entity.
    """
    compiled, raw = compiled_beside_rows(use_case, generated=generated, file=file)
    if entity_id is not None:
        raw = _of_entity(raw, use_case, entity_id)
    try:
        features = compute(compiled, raw, run_date)
    except duckdb.Error as error:
        raise TransformError(
            f"{use_case.name}: the transform fails: {error}", remedy="correct the formula, or the rows"
        ) from None
    progress(f"{raw.num_rows} raw rows, fingerprint {compiled.fingerprint[:12]}")
    order = [use_case.entity_key, *([use_case.event_time] if use_case.event_time else []), use_case.row_key]
    rows: list[dict[str, Any]] = features.sort_by([(name, "ascending") for name in dict.fromkeys(order)]).to_pylist()
    return rows


def compiled_beside_rows(use_case: UseCase, *, generated: int, file: Path | None) -> tuple[CompiledTransform, pa.Table]:
    """The transform as it stands now, and raw rows: of the file, or as many made-up ones.

    Raises:
        PlatformError: as above.
    """
    with ThreadPoolExecutor(1) as pool:
        compiling = pool.submit(compile_transform, use_case)
        raw = _made_up(use_case, generated) if file is None else _read(use_case, file)
        return compiling.result(), raw


def _made_up(use_case: UseCase, rows: int) -> pa.Table:
    table: pa.Table = get_generator(use_case.name).generate(rows, use_case.seed)
    return table


def _read(use_case: UseCase, file: Path) -> pa.Table:
    """The file's columns by their names here, with the types of the spec."""
    types = {column.arriving_name: ARROW_TYPES[column.type] for column in use_case.raw}
    options = pa.csv.ConvertOptions(column_types=types, include_columns=list(types), strings_can_be_null=True)
    try:
        found = pa.csv.read_csv(file, convert_options=options)
    except OSError as error:
        raise RawDataError(f"{file} cannot be read: {error.strerror or error}", remedy="name another file") from None
    except (pa.ArrowInvalid, KeyError) as error:
        raise RawDataError(
            f"{file} is no CSV of {use_case.name}: {error}", remedy="see which columns and types its spec declares"
        ) from None
    return found.rename_columns(list(use_case.raw_columns))


def _of_entity(raw: pa.Table, use_case: UseCase, entity_id: str) -> pa.Table:
    key = raw.column(use_case.entity_key)
    wanted = parse_id(use_case, entity_id)
    rows = raw.filter(pc.equal(key, pa.scalar(wanted, key.type)))
    if rows.num_rows == 0:
        known = ", ".join(map(str, pc.unique(key).slice(0, 5).to_pylist()))
        raise PlatformError(
            f"no raw row has the {use_case.entity_key} {entity_id}",
            remedy=f"ask for one that is there, such as {known}",
        )
    return rows
