"""The embedded store: one LMDB file per snapshot, written once, memory-mapped by every reader.

Key: the entity id as text. Value: the JSON object ``{"feature_date": ..., "features": {...}}``, ready to be sent.
The file is read-only after it was built; a publication is a new file, and readers follow the snapshot pointer to it.
"""

import datetime as dt
import itertools
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import lmdb
import orjson

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.durable import sync_folder
from mlops_platform.online_store.protocol import FeatureRow

LONGEST_KEY = 511
"""Bytes; what LMDB takes as a key."""

_WRITES_PER_TRANSACTION = 200_000
_DISTANCE_BYTES = 16
_BYTES_AT_FIRST = 64 * 1024 * 1024

# how `encode` lays a value out
_NO_DATE = b'{"feature_date":null,"features":'
_DATE = slice(len(b'{"feature_date":"'), len(b'{"feature_date":"2020-12-30'))
_AFTER_DATE = len(b'{"feature_date":"2020-12-30","features":')


def encode(row: FeatureRow) -> bytes:
    """The stored value of a row."""
    # what orjson returns keeps its working buffer, 4 KB of memory, for as long as it lives; a copy has its own size
    return bytes(memoryview(orjson.dumps({"feature_date": row.feature_date, "features": row.features})))


def build(path: Path, rows: Iterable[FeatureRow]) -> int:
    """Write the rows to a new store at this path; it appears there whole or not at all. Returns the number of entities.

    Rows may come in any order; in the order of their keys' bytes they are appended, which is faster and packs them
    tighter. The map grows as needed, so the number of rows need not be known.

    Raises:
        SnapshotError: two rows are of one entity, or an id is longer than a key can be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    environment = lmdb.open(
        str(draft), subdir=False, map_size=_BYTES_AT_FIRST, lock=False, sync=False, metasync=False, meminit=False
    )
    try:
        rows_written, last = 0, b""
        pairs = ((row.entity_id.encode(), encode(row)) for row in rows)
        while batch := sorted(itertools.islice(pairs, _WRITES_PER_TRANSACTION)):
            _write(environment, batch, append=batch[0][0] > last)
            rows_written, last = rows_written + len(batch), max(last, batch[-1][0])
        entities: int = environment.stat()["entries"]
        if entities != rows_written:
            raise SnapshotError(
                f"{rows_written} latest rows are of {entities} entities",
                remedy="let is_latest mark one row of each entity in spark_jobs/features/<use_case>.py",
            )
        environment.sync(True)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        environment.close()
    draft.replace(path)
    sync_folder(path.parent)
    return entities


def _write(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]], *, append: bool) -> None:
    key = max((key for key, _ in batch), key=len)
    if len(key) > LONGEST_KEY:
        raise SnapshotError(
            f"the entity id {key.decode()[:40]!r}… has {len(key)} bytes; an id may have {LONGEST_KEY}",
            remedy="bound the ids in the raw data",
        )
    # of two equal keys the second cannot be appended
    append = append and all(one[0] != other[0] for one, other in itertools.pairwise(batch))
    while True:
        try:
            with environment.begin(write=True) as transaction:
                transaction.cursor().putmulti(batch, append=append)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)


class EmbeddedStore:
    """Reads one snapshot's file.

    Raises:
        SnapshotError: the file is missing or is no store.
    """

    def __init__(self, path: Path, snapshot: str) -> None:
        self._snapshot = snapshot
        if not path.is_file():
            raise SnapshotError(f"the online store {path} is missing", remedy="run the features DAG again")
        try:
            self._environment = lmdb.open(str(path), subdir=False, readonly=True, lock=False, max_spare_txns=4)
        except lmdb.Error as error:
            raise SnapshotError(f"{path} is no online store ({error})", remedy="run the features DAG again") from None
        # the file never changes, so one read transaction serves for ever
        self._read = self._environment.begin(buffers=False)

    @property
    def snapshot(self) -> str:
        return self._snapshot

    def __len__(self) -> int:
        entries: int = self._environment.stat()["entries"]
        return entries

    def get_raw(self, entity_id: bytes) -> bytes | None:
        """The stored JSON value of an id, None for a miss: the hot path, without decoding."""
        if not 0 < len(entity_id) <= LONGEST_KEY:
            return None
        value: bytes | None = self._read.get(entity_id)
        return value

    def get_parts(self, entity_id: bytes) -> tuple[bytes | None, bytes] | None:
        """The date's text and the JSON object of the features of an id, cut out of the stored value."""
        value = self.get_raw(entity_id)
        if value is None:
            return None
        if value.startswith(_NO_DATE):
            return None, value[len(_NO_DATE) : -1]
        return value[_DATE], value[_AFTER_DATE:-1]

    def get(self, entity_id: str) -> FeatureRow | None:
        value = self.get_raw(entity_id.encode())
        return None if value is None else _decode(entity_id, value)

    def get_many(self, entity_ids: Sequence[str]) -> list[FeatureRow | None]:
        return [self.get(entity_id) for entity_id in entity_ids]

    def sample(self, limit: int) -> list[str]:
        """Up to ``limit`` ids that the store holds, spread over the key range."""
        entries = len(self)
        if entries == 0 or limit <= 0:
            return []
        step = max(1, entries // limit)
        keys = (key.decode() for key in self._read.cursor().iternext(keys=True, values=False))
        return [key for index, key in enumerate(keys) if index % step == 0][:limit]

    def spread(self, limit: int) -> list[str]:
        """Up to ``limit`` ids at even distances between the first and the last, without a walk over all of them."""
        cursor = self._read.cursor()
        if limit <= 0 or not cursor.first():
            return []
        first = int.from_bytes(cursor.key()[:_DISTANCE_BYTES].ljust(_DISTANCE_BYTES, b"\0"))
        cursor.last()
        last = int.from_bytes(cursor.key()[:_DISTANCE_BYTES].ljust(_DISTANCE_BYTES, b"\0"))
        wanted = (first + (last - first) * step // limit for step in range(limit))
        found = [
            cursor.key() for key in wanted if cursor.set_range(key.to_bytes(_DISTANCE_BYTES).rstrip(b"\0") or b"\0")
        ]
        return [key.decode() for key in dict.fromkeys(found)]

    def close(self) -> None:
        self._read.abort()
        self._environment.close()


def _decode(entity_id: str, value: bytes) -> FeatureRow:
    content = orjson.loads(value)
    day = content["feature_date"]
    return FeatureRow(
        entity_id=entity_id,
        feature_date=None if day is None else dt.date.fromisoformat(day),
        features=content["features"],
    )
