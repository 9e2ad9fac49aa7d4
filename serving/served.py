"""What one use case answers from at one moment: an immutable whole, replaced in one assignment.

A request takes the object once and keeps it, so it never mixes two models or two snapshots. What nobody holds any
more is closed by the reference count: a store that was replaced goes when its last request is answered.
"""

import datetime as dt
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.models.routing import Routing
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.online_store.redis_first import RedisFirst
from mlops_platform.use_case.spec import UseCase
from serving.model import ServedModel

ServedStore = EmbeddedStore | RedisFirst
Variant = Literal["champion", "challenger", "named"]
"""By what right a model answers: as one of the two, or because a caller named it."""

_BUCKETS = 2**32


@dataclass(frozen=True)
class Served:
    """The snapshot and the models of a use case; either may be lacking before the first was published."""

    use_case: UseCase
    store: ServedStore | None = None
    snapshot: SnapshotManifest | None = None
    champion: ServedModel | None = None
    challenger: ServedModel | None = None
    named: ServedModel | None = None
    """The model that a caller asked for by name: it answers everything."""
    routing: Routing = field(default_factory=Routing)
    checked_at: dt.datetime | None = None
    """When it was last known that there is no newer data; None where that is not known."""

    @property
    def lacking(self) -> str | None:
        """What is missing for an answer, in words."""
        if self.store is None:
            return "snapshot is published" if self.champion else "snapshot is published and no champion is registered"
        return None if self.champion else "champion is registered"

    @cached_property
    def snapshot_id(self) -> str | None:
        return None if self.snapshot is None else self.snapshot.snapshot

    @cached_property
    def snapshot_bytes(self) -> bytes:
        """The snapshot's name as a header has it."""
        return (self.snapshot_id or "").encode()

    def variant(self, entity_id: str | None) -> Variant:
        """Who answers this id; a row without an id is the champion's."""
        if self.named is not None:
            return "named"
        share = self.routing.challenger_share
        if not share or self.challenger is None or entity_id is None:
            return "champion"
        return "challenger" if zlib.crc32(b"routing:" + entity_id.encode()) < share * _BUCKETS else "champion"

    def model(self, variant: Variant) -> ServedModel | None:
        if variant == "champion":
            return self.champion
        return self.challenger if variant == "challenger" else self.named

    def stale(self, now: float) -> bool:
        """It is longer ago than the use case allows that the snapshot was known to have all that there is."""
        return now > self.stale_from

    @cached_property
    def stale_from(self) -> float:
        """Seconds since 1970 at which the snapshot becomes stale."""
        if self.snapshot is None:
            return float("inf")
        known = max(self.snapshot.created_at, self.checked_at or self.snapshot.created_at)
        return (known + dt.timedelta(days=self.use_case.stale_after_days)).timestamp()

    @cached_property
    def background(self) -> list[Mapping[str, FeatureValue]]:
        """Rows of the snapshot, always the same ones: what a row is compared with to explain it."""
        return [] if self.store is None else [row.features for row in self.store.background]
