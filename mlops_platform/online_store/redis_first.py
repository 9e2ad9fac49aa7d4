"""Lookups from Redis, and from the snapshot's file in the lake while Redis does not answer.

Both hold the same rows of the same attempt at a snapshot, so no answer differs. The first lookup that fails or takes
longer than its deadline (a quarter of a second) takes the file at once, and so do all that follow; Redis is tried again
from another thread. A published snapshot that Redis lacks is served from its file from the start.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from pydantic import SecretStr

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.protocol import FeatureRow

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisStore

RETRY_SECONDS = 5.0
_IDS_AT_ONCE = 1_000

logger = logging.getLogger(__name__)


def open_redis(url: SecretStr, manifest: SnapshotManifest) -> "RedisStore":
    """The rows of a published snapshot in Redis.

    Raises:
        SnapshotError: Redis does not hold them all.
        PlatformError: it does not answer.
    """
    # loading it takes a quarter of a second, which nobody waits for who does not use it
    from mlops_platform.online_store.redis import RedisStore  # noqa: PLC0415

    store = RedisStore(url.get_secret_value(), manifest.use_case, manifest.snapshot, manifest.attempt)
    if len(store) != manifest.entities:
        raise SnapshotError(
            f"Redis holds {len(store)} entities of snapshot {manifest.snapshot}, its manifest says {manifest.entities}",
            remedy="run the features DAG again",
        )
    return store


class _Lookup(NamedTuple):
    """Ids that somebody waits for."""

    ids: Sequence[bytes]
    found: "asyncio.Future[list[bytes | None]]"


class RedisFirst:
    """To be asked from one event loop. ``refused`` says why Redis is not used, None while it is.

    Redis is asked in a thread of its own, so that the loop goes on meanwhile. What is asked for until it has answered
    is then asked for together.
    """

    def __init__(self, file: EmbeddedStore, open_: Callable[[], "RedisStore"]) -> None:
        self._file = file
        self._open = open_
        self._redis: RedisStore | None = None
        self._next_try = 0.0
        self._waiting: list[_Lookup] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="redis")
        self._asking: asyncio.Task[None] | None = None
        self.refused: str | None = None
        self.try_again()

    @property
    def snapshot(self) -> str:
        return self._file.snapshot

    async def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        """One stored value per id, in the order asked for, None for a miss."""
        if self._redis is None:
            return self._file.get_raw_many(entity_ids)
        lookup = _Lookup(entity_ids, asyncio.get_running_loop().create_future())
        self._waiting.append(lookup)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await lookup.found

    async def _ask(self) -> None:
        """Answer all that wait, and all that come meanwhile."""
        while self._waiting:
            lookups = self._next_lookups()
            ids = [entity_id for lookup in lookups for entity_id in lookup.ids]
            try:
                values = await asyncio.get_running_loop().run_in_executor(self._thread, self._ask_redis, ids)
                # the file belongs to the loop's thread
                found = iter(self._file.get_raw_many(ids) if values is None else values)
            except Exception as error:  # whatever it is, it is each request's own failure
                for lookup in lookups:
                    if not lookup.found.done():
                        lookup.found.set_exception(error)
                continue
            for lookup in lookups:
                own = list(itertools.islice(found, len(lookup.ids)))
                if not lookup.found.done():  # its request was cancelled
                    lookup.found.set_result(own)
        self._asking = None

    def _next_lookups(self) -> list["_Lookup"]:
        """As many as one command may ask for, one at least."""
        sizes = itertools.accumulate(len(lookup.ids) for lookup in self._waiting)
        count = max(1, sum(size <= _IDS_AT_ONCE for size in sizes))
        lookups, self._waiting = self._waiting[:count], self._waiting[count:]
        return lookups

    def _ask_redis(self, entity_ids: Sequence[bytes]) -> list[bytes | None] | None:
        """None where Redis does not answer; then it is not asked again until it was opened anew."""
        redis = self._redis
        if redis is None:
            return None
        try:
            return redis.get_raw_many(entity_ids)
        except PlatformError as error:
            self._redis = None
            redis.close()
            self._refuse(error)
            return None

    @property
    def background(self) -> list[FeatureRow]:
        """As the embedded store has it."""
        return self._file.background

    def try_again(self) -> None:
        """Go back to Redis if it answers; asks every few seconds at most. Not for the thread that looks up."""
        if self._redis is not None or time.monotonic() < self._next_try:
            return
        try:
            redis = self._open()
        except PlatformError as error:
            self._refuse(error)
            return
        self.refused = None  # before a lookup can fail and say otherwise
        self._redis = redis
        logger.info("lookups are answered from Redis", extra={"snapshot": self.snapshot})

    def _refuse(self, error: PlatformError) -> None:
        self._next_try = time.monotonic() + RETRY_SECONDS
        if self.refused != str(error):
            self.refused = str(error)
            logger.warning(
                "lookups are answered from the embedded store, not from Redis",
                extra={"snapshot": self.snapshot, "reason": self.refused},
            )
