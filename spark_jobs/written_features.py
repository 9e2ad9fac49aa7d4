"""The parquet files of an attempt, read back with Arrow: checks before anything is published, and the online store."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.snapshots import RuleFinding
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.online_store import FeatureRow
from mlops_platform.use_case.spec import UseCase

_ROWS_AT_ONCE = 65_536


def repeated_keys(folder: Path, use_case: UseCase) -> int:
    """How many rows have a row key that another row has as well, less one of each."""
    keys = _read(folder, [use_case.row_key]).column(use_case.row_key)
    return len(keys) - int(pc.count_distinct(keys).as_py())


def check(folder: Path, use_case: UseCase, rows: int) -> int:
    """Check that the files hold so many rows of the spec's schema, one of each entity the latest.

    Returns the number of entities.

    Raises:
        SnapshotError: they do not; says what was found and what was expected.
    """
    files = _files(folder)
    expected = [(name, ARROW_TYPES[kind]) for name, kind in use_case.feature_table]
    found = [(field.name, field.type) for field in files[0].schema_arrow]
    if found != expected:
        raise _unfit(use_case, f"has the columns {_listed(found)}, its spec says {_listed(expected)}")
    written = sum(file.metadata.num_rows for file in files)
    if written != rows:
        raise _unfit(use_case, f"has {written} rows of {rows} valid ones")
    table = _read(folder, [use_case.entity_key, "is_latest"])
    entities = int(pc.count_distinct(table.column(use_case.entity_key)).as_py())
    latest = int(pc.sum(pc.equal(table.column("is_latest"), 1)).as_py() or 0)
    if latest != entities:
        raise _unfit(use_case, f"marks {latest} rows as the latest of {entities} entities")
    return entities


def latest_rows(folder: Path, use_case: UseCase) -> Iterator[FeatureRow]:
    """The latest row of each entity, in the order of the bytes of the entity's id."""
    dates = [use_case.event_time] if use_case.event_time else []
    columns = list(dict.fromkeys([use_case.entity_key, *dates, *use_case.feature_names]))
    batches = (batch for file in _files(folder) for batch in file.iter_batches(columns=[*columns, "is_latest"]))
    table = pa.Table.from_batches(batch.filter(pc.equal(batch.column("is_latest"), 1)) for batch in batches)
    ids = pc.cast(table.column(use_case.entity_key), pa.string())
    order = pc.sort_indices(ids)
    for start in range(0, len(order), _ROWS_AT_ONCE):
        part = order.slice(start, _ROWS_AT_ONCE)
        rows = table.take(part).to_pydict()
        features = zip(*(rows[name] for name in use_case.feature_names), strict=True)
        days = rows[use_case.event_time] if use_case.event_time else [None] * len(part)
        for key, day, values in zip(ids.take(part).to_pylist(), days, features, strict=True):
            yield FeatureRow(key, day, dict(zip(use_case.feature_names, values, strict=True)))


def findings(folder: Path) -> tuple[RuleFinding, ...]:
    """How many rows of a quarantine broke each rule, the most frequent first."""
    reasons = pc.list_flatten(_read(folder, ["reasons"]).column("reasons"))
    counted = ((entry["values"], entry["counts"]) for entry in pc.value_counts(reasons).to_pylist())
    ordered = sorted(counted, key=lambda entry: (-entry[1], entry[0]))
    return tuple(RuleFinding(rule=rule, rows=rows) for rule, rows in ordered)


def _read(folder: Path, columns: list[str]) -> pa.Table:
    return pa.concat_tables(file.read(columns=columns) for file in _files(folder))


def _files(folder: Path) -> list[pq.ParquetFile]:
    # one by one: a dataset of Arrow would do it as well, but loading it loads pandas, which takes a second
    return [pq.ParquetFile(path) for path in sorted(folder.glob("*.parquet"))]


def _listed(columns: list[tuple[str, pa.DataType]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def _unfit(use_case: UseCase, what: str) -> SnapshotError:
    return SnapshotError(
        f"what was computed for {use_case.name} {what}", remedy=f"correct use_cases/{use_case.name}/features.py"
    )
