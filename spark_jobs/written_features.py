"""The parquet files of an attempt, read back before anything is published: their checks, and the latest rows."""

import contextlib
import heapq
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.online_store import FeatureRow
from mlops_platform.use_case.spec import LATEST, UseCase
from spark_jobs.duplicates import count_duplicates

_ROWS_PER_RUN = 65_536
_ROWS_PER_BUCKET = 500_000
_ROWS_AT_ONCE = 2_000
_BYTES_AT_ONCE = 1024 * 1024


@dataclass(frozen=True)
class Keys:
    """``repeated``: rows whose row key an earlier row has. ``unclear``: entities without exactly one latest row."""

    repeated: int
    entities: int
    unclear: int


class WrittenFeatures:
    """One attempt's files below a prefix of the lake. However many rows there are, the driver holds few of them."""

    def __init__(self, lake: Lake, prefix: str, use_case: UseCase) -> None:
        self._lake = lake
        self._prefix = prefix
        self._use_case = use_case

    def count_keys(self, scratch: Path) -> Keys:
        """Count bucket by bucket: all rows of a key are in one bucket, which lies in ``scratch`` meanwhile."""
        repeated = entities = unclear = 0
        for rows in self._by_key(self._use_case.row_key, scratch):
            repeated += len(rows) - pc.count_distinct(rows.column(self._use_case.row_key)).as_py()
        for rows in self._by_key(self._use_case.entity_key, scratch):
            latest = rows.group_by(self._use_case.entity_key).aggregate([(LATEST, "sum")]).column(f"{LATEST}_sum")
            entities += len(latest)
            unclear += len(latest) - (pc.sum(pc.equal(latest, 1)).as_py() or 0)
        return Keys(repeated, entities, unclear)

    def count_duplicates(self) -> int:
        """How many rows are equal to another one but for their keys: in event time, features and label."""
        use_case = self._use_case
        names = [*([use_case.event_time] if use_case.event_time else []), *use_case.feature_names, use_case.label.name]
        return count_duplicates(
            batch for file in self._files() for batch in file.iter_batches(_ROWS_PER_RUN, columns=names)
        )

    def check(self, rows: int, keys: Keys) -> None:
        """Check that the files hold so many rows of the spec's schema, one of each entity the latest.

        Raises:
            SnapshotError: they do not; says what was found and what was expected.
        """
        expected = [(name, ARROW_TYPES[kind]) for name, kind in self._use_case.feature_table]
        written = 0
        for file in self._files():
            found = [(field.name, field.type) for field in file.schema_arrow]
            if found != expected:
                raise self._unfit(f"has the columns {_listed(found)}, its spec says {_listed(expected)}")
            written += file.metadata.num_rows
        if written != rows:
            raise self._unfit(f"has {written} rows of {rows} valid ones")
        if keys.unclear:
            raise self._unfit(f"marks none or several rows as the latest of {keys.unclear} of {keys.entities} entities")

    def latest(self, scratch: Path) -> Iterator[FeatureRow]:
        """The latest row of each entity, in the order of the bytes of the entity's id.

        Sorted runs lie in ``scratch``, a folder of this machine, and are merged.
        """
        runs = []
        for number, rows in enumerate(self._runs()):
            runs.append(scratch / f"{number}.arrow")
            with pa.ipc.new_file(str(runs[-1]), rows.schema) as file:
                file.write_table(rows, max_chunksize=_ROWS_AT_ONCE)
        # of text, the order of its characters is that of its bytes in UTF-8
        yield from heapq.merge(*map(self._rows_of, runs), key=lambda row: row.entity_id)

    def spread_entities(self, most: int, most_rows: int) -> pa.Array:
        """Ids of at most so many entities from all over the files, with so many rows in all; at least one."""
        key = self._use_case.entity_key
        every = max(1, sum(file.metadata.num_rows for file in self._files()) // most)
        seen, picked = 0, []
        for column in self._column(key):
            picked.append(column.take(pa.array(range(-seen % every, len(column), every), pa.int64())))
            seen += len(column)
        entities = pc.unique(pa.chunked_array(picked)).slice(0, most)
        counts = [column.filter(pc.is_in(column, entities)).value_counts() for column in self._column(key)]
        rows = pa.Table.from_batches(map(pa.RecordBatch.from_struct_array, counts)).group_by("values")
        # of many entities the smaller ones have room
        sizes = rows.aggregate([("counts", "sum")]).sort_by([("counts_sum", "ascending"), ("values", "ascending")])
        room = pc.less_equal(pc.cumulative_sum(sizes.column("counts_sum")), most_rows)
        return sizes.column("values").slice(0, max(1, pc.sum(room).as_py())).combine_chunks()

    def rows_of(self, entities: pa.Array) -> pa.Table:
        """All rows of these entities."""
        key = self._use_case.entity_key
        batches = (batch for file in self._files() for batch in file.iter_batches(_ROWS_PER_RUN))
        return pa.Table.from_batches([batch.filter(pc.is_in(batch.column(key), entities)) for batch in batches])

    def _column(self, name: str) -> Iterator[pa.Array]:
        for file in self._files():
            for batch in file.iter_batches(_ROWS_PER_RUN, columns=[name]):
                yield batch.column(0)

    def _by_key(self, key: str, scratch: Path) -> Iterator[pa.Table]:
        """The key's column and ``is_latest`` of all rows, as tables that have no key in common."""
        schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in self._use_case.feature_table])
        columns = list(dict.fromkeys([key, LATEST]))
        schema = pa.schema([schema.field(name) for name in columns])
        buckets = 1 + sum(file.metadata.num_rows for file in self._files()) // _ROWS_PER_BUCKET
        paths = [scratch / f"{key}-{number}.arrow" for number in range(buckets)]
        with contextlib.ExitStack() as files:
            writers = [files.enter_context(pa.ipc.new_file(str(path), schema)) for path in paths]
            for file in self._files():
                for batch in file.iter_batches(_ROWS_PER_RUN, columns=columns):
                    # a column that is never null in one file may be in another
                    rows = pa.RecordBatch.from_arrays([batch.column(name) for name in columns], schema=schema)
                    places = _buckets(rows.column(key), buckets)
                    for number, writer in enumerate(writers):
                        writer.write_batch(rows.filter(pc.equal(places, number)))
        for path in paths:
            with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
                yield file.read_all()
            path.unlink()

    def _runs(self) -> Iterator[pa.Table]:
        """The latest rows with the entity's id as text and the event's day, each table sorted by the id."""
        gathered: list[pa.RecordBatch] = []
        for batch in self._latest_batches():
            gathered.append(batch)
            if sum(map(len, gathered)) >= _ROWS_PER_RUN:
                yield pa.Table.from_batches(gathered).sort_by(self._use_case.entity_key)
                gathered = []
        if gathered:
            yield pa.Table.from_batches(gathered).sort_by(self._use_case.entity_key)

    def _latest_batches(self) -> Iterator[pa.RecordBatch]:
        key = self._use_case.entity_key
        dates = [self._use_case.event_time] if self._use_case.event_time else []
        columns = list(dict.fromkeys([key, *dates, *self._use_case.feature_names]))
        for batch in itertools.chain.from_iterable(
            file.iter_batches(_ROWS_PER_RUN, columns=[*columns, LATEST]) for file in self._files()
        ):
            latest = batch.filter(pc.equal(batch.column(LATEST), 1)).select(columns)
            for name, kind in ((key, pa.string()), *((name, pa.date32()) for name in dates)):
                latest = latest.set_column(columns.index(name), name, pc.cast(latest.column(name), kind))
            yield latest

    def _rows_of(self, run: Path) -> Iterator[FeatureRow]:
        names = self._use_case.feature_names
        with pa.memory_map(str(run)) as source, pa.ipc.open_file(source) as file:
            for number in range(file.num_record_batches):
                columns = file.get_batch(number).to_pydict()
                keys = columns[self._use_case.entity_key]
                days = columns[self._use_case.event_time] if self._use_case.event_time else [None] * len(keys)
                features = zip(*(columns[name] for name in names), strict=True)
                for key, day, values in zip(keys, days, features, strict=True):
                    yield FeatureRow(key, day, dict(zip(names, values, strict=True)))

    def _files(self) -> Iterator[pq.ParquetFile]:
        # one by one: a dataset of Arrow would do it as well, but loading it loads pandas, which takes a second
        for key in self._lake.keys(self._prefix):
            if key.endswith(".parquet"):
                with self._lake.open(key) as file:
                    yield pq.ParquetFile(file, buffer_size=_BYTES_AT_ONCE, pre_buffer=False)

    def _unfit(self, what: str) -> SnapshotError:
        return SnapshotError(
            f"what was computed for {self._use_case.name} {what}",
            remedy=f"correct use_cases/{self._use_case.name}/features.py: one row per raw row, its keys as they are",
        )


def _buckets(keys: pa.Array, buckets: int) -> pa.Array:
    """The bucket of each key, from 0; that of a null is 0."""
    if pa.types.is_integer(keys.type):
        return pa.array(np.asarray(keys.fill_null(0)) % buckets)
    encoded = pc.dictionary_encode(keys)
    values = (zlib.crc32(str(value).encode()) % buckets for value in encoded.dictionary.to_pylist())
    return pc.fill_null(pc.take(pa.array(values, pa.int32()), encoded.indices), 0)


def _listed(columns: list[tuple[str, pa.DataType]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)
