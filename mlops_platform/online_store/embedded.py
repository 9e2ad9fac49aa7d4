"""The embedded store: one LMDB file per snapshot, written once, memory-mapped by every reader.

Keys and values are as ``encoded.py`` has them. The file is read-only after it was built; a publication is a new file,
and readers follow the snapshot pointer to it.
"""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import lmdb

from mlops_platform.errors import SnapshotError
from mlops_platform.files import sync_folder
from mlops_platform.online_store.encoded import LONGEST_KEY, EncodedStore, encode
from mlops_platform.online_store.protocol import FeatureRow

_WRITES_PER_TRANSACTION = 200_000
_DISTANCE_BYTES = 16
_BYTES_AT_FIRST = 64 * 1024 * 1024


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
                remedy="let is_latest mark one row of each entity in use_cases/<use_case>/features.py",
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


class EmbeddedStore(EncodedStore):
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
        if not 0 < len(entity_id) <= LONGEST_KEY:
            return None
        value: bytes | None = self._read.get(entity_id)
        return value

    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        return [self.get_raw(entity_id) for entity_id in entity_ids]

    def encoded_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every key with its value, in the order of the keys' bytes."""
        yield from self._read.cursor().iternext()

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
