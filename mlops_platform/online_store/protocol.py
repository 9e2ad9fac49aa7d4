"""What an online store answers, whatever it is built on."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

FeatureValue = int | float | str | None


@dataclass(frozen=True)
class FeatureRow:
    """The latest features of one entity.

    ``features`` has the spec's features in the spec's order. ``feature_date`` is the day of their event,
    None for a use case without event time.
    """

    entity_id: str
    feature_date: dt.date | None
    features: dict[str, FeatureValue]


class OnlineStore(Protocol):
    """The published features of one use case, by entity id. Ids are strings, as they stand in a URL.

    One thread at a time may ask; an adapter that allows more says so.
    """

    @property
    def snapshot(self) -> str:
        """The snapshot that is answered from."""
        ...

    def get(self, entity_id: str) -> FeatureRow | None:
        """The entity's latest features, or None for an id that the snapshot does not hold."""
        ...

    def get_many(self, entity_ids: Sequence[str]) -> list[FeatureRow | None]:
        """One answer per id, in the order asked for, None for a miss."""
        ...

    def close(self) -> None:
        """Release what the store holds."""
        ...
