"""The Redis adapter: each attempt at a snapshot is one hash, written once, beside those of other snapshots.

Key: ``mlops:<use case>:<snapshot>:<attempt>``. Fields and values are keys and values as ``encoded.py`` has them; under
the empty field, which no id has, stands the number of rows. It is written last and read with every lookup: a hash that
is half written, evicted or flushed lacks it, so its ids are an error and never a miss. Redis evicts a key as a whole,
which is why the rows of a snapshot share one.

The keys ``mlops:*`` of the database belong to one installation: what its lake does not know is removed.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.online_store.encoded import EncodedStore

LOOKUP_SECONDS = 0.25
"""The deadline of a lookup; of connecting as well."""
PUBLISH_SECONDS = 30.0
"""The deadline of one command of a publication."""
ROWS_PER_COMMAND = 1_000

_ROW_COUNT = b""
_KEYS_PER_SCAN = 10_000
_DEFAULT_PLACE = {"host": "localhost", "port": 6379}


class RedisUnavailable(PlatformError):
    """Redis cannot be reached, is too slow, or refuses what it is asked."""

    transient = True


class RedisRefused(RedisUnavailable):
    """Redis will give the same answer until a person has mended what it says."""

    transient = False


class RedisPublisher:
    """Fills Redis with snapshots, and empties it of those that are gone.

    Raises:
        RedisUnavailable: from the constructor and every method.
    """

    def __init__(self, url: str) -> None:
        # a job opens it before it computes: a connection that was cut meanwhile is made again, once
        self._server = _Server(url, PUBLISH_SECONDS, retries=1)

    def fill(self, use_case: str, snapshot: str, attempt: str, rows: Iterable[tuple[bytes, bytes]]) -> int:
        """Write encoded rows, in any order; no store can be opened on them before the last. Returns their number.

        Raises:
            SnapshotError: Redis holds another number of rows than were written.
        """
        key = _key(use_case, snapshot, attempt)
        written, pairs = 0, iter(rows)
        while batch := list(itertools.islice(pairs, ROWS_PER_COMMAND)):
            self._server.ask("HSET", key, *itertools.chain.from_iterable(batch))
            written += len(batch)
        found = self._server.ask("HLEN", key)
        if found != written:
            raise SnapshotError(
                f"{self._server.address} holds {found} rows of snapshot {snapshot}, {written} were written",
                remedy="see that nothing else uses this Redis database, then run the features DAG again",
            )
        self._server.ask("HSET", key, _ROW_COUNT, str(written).encode())
        return written

    def keep_only(self, use_case: str, attempts: Callable[[], Collection[tuple[str, str]]]) -> int:
        """Remove the rows of all attempts of a use case but these, each a snapshot and an attempt's name.

        Returns how many went. ``attempts`` is asked after the keys were listed: an attempt that begins meanwhile is
        safe either way.
        """
        found: set[bytes] = set()
        cursor: Any = 0
        while True:
            cursor, keys = self._server.ask("SCAN", cursor, "MATCH", _key(use_case, "*", "*"), "COUNT", _KEYS_PER_SCAN)
            found.update(keys)
            if int(cursor) == 0:
                break
        leaving = found - {_key(use_case, *attempt).encode() for attempt in attempts()}
        if leaving:
            self._server.ask("UNLINK", *leaving)
        return len(leaving)


class RedisStore(EncodedStore):
    """Reads one attempt at a snapshot. Safe to use from several threads, which take turns.

    Raises:
        SnapshotError: from the constructor and every lookup, where Redis does not hold the whole snapshot.
        RedisUnavailable: likewise, where it does not answer in time.
    """

    def __init__(self, url: str, use_case: str, snapshot: str, attempt: str) -> None:
        self._server = _Server(url, LOOKUP_SECONDS)
        self._key = _key(use_case, snapshot, attempt)
        self._snapshot = snapshot
        self._row_count: bytes | None = self._server.ask("HGET", self._key, _ROW_COUNT)
        if self._row_count is None:
            raise self._not_whole()
        held = self._server.ask("HLEN", self._key) - 1
        if held != len(self):
            raise SnapshotError(
                f"{self._server.address} holds {held} of {len(self)} rows of snapshot {snapshot} of {use_case}",
                remedy="see that nothing else uses this Redis database, then run the features DAG again",
            )

    @property
    def snapshot(self) -> str:
        return self._snapshot

    def __len__(self) -> int:
        return int(self._row_count or 0)

    def get_raw(self, entity_id: bytes) -> bytes | None:
        return self.get_raw_many([entity_id])[0]

    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        """One stored value per id, from one round trip."""
        if not entity_ids:
            return []
        *values, row_count = self._server.ask("HMGET", self._key, *entity_ids, _ROW_COUNT)
        if row_count != self._row_count:
            raise self._not_whole()
        return [value if entity_id else None for entity_id, value in zip(entity_ids, values, strict=True)]

    def close(self) -> None:
        self._server.close()

    def _not_whole(self) -> SnapshotError:
        return SnapshotError(
            f"{self._server.address} does not hold the rows of snapshot {self._snapshot}, or not all of them",
            remedy="see that Redis evicts nothing (maxmemory-policy noeviction), then run the features DAG again",
        )


class _Server:
    """One connection with a deadline, and its errors in words that hold no password. Threads take turns."""

    def __init__(self, url: str, seconds: float, retries: int = 0) -> None:
        try:
            connections = redis.ConnectionPool.from_url(
                url,
                protocol=2,
                socket_timeout=seconds,
                socket_connect_timeout=LOOKUP_SECONDS,
                retry=Retry(NoBackoff(), retries),
            )
            given = connections.connection_kwargs
            self.address = f"Redis at {given.get('path') or '{host}:{port}'.format(**{**_DEFAULT_PLACE, **given})}"
            with self._in_our_words():
                self._client = redis.Redis(connection_pool=connections, single_connection_client=True)
        except (ValueError, TypeError):  # the messages may repeat the URL
            raise RedisRefused(
                "MLOPS_ONLINE_STORE_URL is no URL of a Redis server",
                remedy="give it as redis://[user:password@]host:port/database, or leave it out for the embedded store",
            ) from None

    def ask(self, *command: Any) -> Any:
        """Redis' answer to one command."""
        with self._in_our_words():
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        self._client.close()
        self._client.connection_pool.disconnect()

    @contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except redis.OutOfMemoryError:
            raise RedisRefused(
                f"{self.address} has no memory left", remedy="raise its maxmemory, or keep fewer snapshots"
            ) from None
        except (redis.AuthenticationError, NoPermissionError):
            raise RedisRefused(
                f"{self.address} refuses the user or the password",
                remedy="correct MLOPS_ONLINE_STORE_URL; the user needs the commands of hashes, SCAN and UNLINK",
            ) from None
        except redis.RedisError as error:  # a server's own words may repeat the password: only the name is told
            raise RedisUnavailable(
                f"{self.address} did not answer ({type(error).__name__})",
                remedy="see that it runs and MLOPS_ONLINE_STORE_URL names it, or leave that out for the embedded store",
            ) from None


def _key(use_case: str, snapshot: str, attempt: str) -> str:
    return f"mlops:{use_case}:{snapshot}:{attempt}"
