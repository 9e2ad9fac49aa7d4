"""The embedded store: one LMDB file per snapshot, written once, memory-mapped by every reader.

Key: the entity id as text. Value: the JSON object ``{"feature_date": ..., "features": {...}}``, ready to be sent.
The file is read-only after it was built; a publication is a new file, and readers follow the snapshot pointer to it.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import lmdb
import orjson

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.durable import sync_folder
from mlops_platform.online_store.protocol import FeatureRow

_WRITES_PER_TRANSACTION = 200_000
_BYTES_AT_FIRST = 64 * 1024 * 1024


def encode(row: FeatureRow) -> bytes:
    """The stored value of a row."""
    return orjson.dumps({"feature_date": row.feature_date, "features": row.features})


def build(path: Path, rows: Iterable[FeatureRow]) -> int:
    """Write the rows to a new store at this path; it appears there whole or not at all. Returns the number of entities.

    The map grows as needed, so the number of rows need not be known.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    environment = lmdb.open(
        str(draft), subdir=False, map_size=_BYTES_AT_FIRST, lock=False, sync=False, metasync=False, meminit=False
    )
    try:
        batch: list[tuple[bytes, bytes]] = []
        for row in rows:
            batch.append((row.entity_id.encode(), encode(row)))
            if len(batch) == _WRITES_PER_TRANSACTION:
                _write(environment, batch)
                batch = []
        _write(environment, batch)
        entities: int = environment.stat()["entries"]
        environment.sync(True)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        environment.close()
    draft.replace(path)
    sync_folder(path.parent)
    return entities


def _write(environment: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction:
                transaction.cursor().putmulti(sorted(batch))
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
        value: bytes | None = self._read.get(entity_id) if entity_id else None
        return value

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
