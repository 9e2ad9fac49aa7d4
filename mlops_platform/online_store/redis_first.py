"""Lookups from Redis, and from the snapshot's file in the lake while Redis does not answer.

Both hold the same rows of the same attempt at a snapshot, so no answer differs. The first lookup that fails or takes
longer than its deadline (a quarter of a second) takes the file at once, and so do all that follow; Redis is tried again
from another thread. A published snapshot that Redis lacks is served from its file from the start.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.encoded import EncodedStore
from mlops_platform.online_store.protocol import FeatureRow

if TYPE_CHECKING:
    from mlops_platform.online_store.redis import RedisStore

RETRY_SECONDS = 5.0

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


class RedisFirst(EncodedStore):
    """``refused`` says why Redis is not used, None while it is."""

    def __init__(self, file: EmbeddedStore, open_: Callable[[], "RedisStore"]) -> None:
        self._file = file
        self._open = open_
        self._redis: RedisStore | None = None
        self._next_try = 0.0
        self.refused: str | None = None
        self.try_again()

    @property
    def snapshot(self) -> str:
        return self._file.snapshot

    def get_raw(self, entity_id: bytes) -> bytes | None:
        return self.get_raw_many([entity_id])[0]

    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        redis = self._redis
        if redis is not None:
            try:
                return redis.get_raw_many(entity_ids)
            except PlatformError as error:
                self._redis = None
                redis.close()
                self._refuse(error)
        return self._file.get_raw_many(entity_ids)

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

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()
        self._file.close()

    def _refuse(self, error: PlatformError) -> None:
        self._next_try = time.monotonic() + RETRY_SECONDS
        if self.refused != str(error):
            self.refused = str(error)
            logger.warning(
                "lookups are answered from the embedded store, not from Redis",
                extra={"snapshot": self.snapshot, "reason": self.refused},
            )
