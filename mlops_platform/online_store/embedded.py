"""The embedded store: one LMDB file per snapshot, written once, memory-mapped by every reader.

Keys and values are as ``encoded.py`` has them; the last key is none of an id, and holds the ids of the background. The
file is read-only after it was built; a publication is a new file, and readers follow the snapshot pointer to it.
"""

import hashlib
import heapq
import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import lmdb
import orjson

from mlops_platform.errors import SnapshotError
from mlops_platform.files import sync_folder
from mlops_platform.online_store.encoded import LONGEST_KEY, EncodedStore, encode
from mlops_platform.online_store.protocol import FeatureRow

_WRITES_PER_TRANSACTION = 20_000
_BYTES_AT_FIRST = 64 * 1024 * 1024
BACKGROUND_ROWS = 50
# comes after all ids and is none: no text has such a byte in UTF-8
_BACKGROUND_KEY = b"\xffbackground"


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
        drawn: list[tuple[bytes, bytes]] = []
        pairs = ((row.entity_id.encode(), encode(row)) for row in rows)
        while batch := sorted(itertools.islice(pairs, _WRITES_PER_TRANSACTION)):
            _write(environment, batch, append=batch[0][0] > last)
            rows_written, last = rows_written + len(batch), max(last, batch[-1][0])
            drawn = heapq.nsmallest(BACKGROUND_ROWS, [*drawn, *((_lot(key), key) for key, _ in batch)])
        entities: int = environment.stat()["entries"]
        if entities != rows_written:
            raise SnapshotError(
                f"{rows_written} latest rows are of {entities} entities",
                remedy="let use_cases/<use_case>/features.py return one row per raw row, its keys as they are",
            )
        _write(environment, [(_BACKGROUND_KEY, orjson.dumps([key.decode() for _, key in drawn]))], append=True)
        environment.sync(True)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    finally:
        environment.close()
    draft.replace(path)
    sync_folder(path.parent)
    return entities


def _lot(key: bytes) -> bytes:
    """What an id draws. The lowest are a uniform sample of all ids, the same in whatever order these come."""
    return hashlib.blake2b(key, digest_size=8, person=b"background").digest()


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
        return entries - (self._read.get(_BACKGROUND_KEY) is not None)

    def get_raw(self, entity_id: bytes) -> bytes | None:
        if not 0 < len(entity_id) <= LONGEST_KEY:
            return None
        value: bytes | None = self._read.get(entity_id)
        return value

    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        return [self.get_raw(entity_id) for entity_id in entity_ids]

    def encoded_rows(self) -> Iterator[tuple[bytes, bytes]]:
        """Every id with its value, in the order of the ids' bytes."""
        return itertools.takewhile(lambda pair: pair[0] != _BACKGROUND_KEY, self._read.cursor().iternext())

    def sample(self, limit: int) -> list[str]:
        """Up to ``limit`` ids that the store holds, spread over the key range."""
        entries = len(self)
        if entries == 0 or limit <= 0:
            return []
        step = max(1, entries // limit)
        keys = itertools.islice(self._read.cursor().iternext(keys=True, values=False), entries)
        return [key.decode() for key in itertools.islice(keys, 0, None, step)][:limit]

    @cached_property
    def background(self) -> list[FeatureRow]:
        """Rows of a sample that was drawn when the store was built: up to 50 of all, each as likely as any other.

        A store of before there was such a sample is walked through, once, for rows at even distances.
        """
        drawn = self._read.get(_BACKGROUND_KEY)
        rows = self.get_many(self.sample(BACKGROUND_ROWS) if drawn is None else orjson.loads(drawn))
        return [row for row in rows if row is not None]

    def close(self) -> None:
        self._read.abort()
        self._environment.close()
