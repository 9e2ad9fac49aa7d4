"""How a row lies in a store that keeps bytes by key, and the lookups that follow from it.

Key: the entity id as text. Value: the JSON object ``{"feature_date": ..., "features": {...}}``, ready to be sent.
"""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Sequence

import orjson

from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.use_case.ids import LONGEST_ID_BYTES

LONGEST_KEY = LONGEST_ID_BYTES
"""Of an id's UTF-8; LMDB takes no longer key."""

# how `encode` lays a value out
_NO_DATE = b'{"feature_date":null,"features":'
_DATE = slice(len(b'{"feature_date":"'), len(b'{"feature_date":"2020-12-30'))
_AFTER_DATE = len(b'{"feature_date":"2020-12-30","features":')


def encode(row: FeatureRow) -> bytes:
    """The stored value of a row."""
    # what orjson returns keeps its working buffer, 4 KB of memory, for as long as it lives; a copy has its own size
    return bytes(memoryview(orjson.dumps({"feature_date": row.feature_date, "features": row.features})))


class EncodedStore(ABC):
    """An online store that is asked for bytes; the rest of its answers is cut or decoded from them."""

    @property
    @abstractmethod
    def snapshot(self) -> str:
        """The snapshot that is answered from."""

    @abstractmethod
    def get_raw(self, entity_id: bytes) -> bytes | None:
        """The stored JSON value of an id, None for a miss: the hot path, without decoding."""

    @abstractmethod
    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        """One stored value per id, in the order asked for, None for a miss."""

    @abstractmethod
    def close(self) -> None:
        """Release what the store holds."""

    def get(self, entity_id: str) -> FeatureRow | None:
        value = self.get_raw(entity_id.encode())
        return None if value is None else decode(entity_id, value)

    def get_many(self, entity_ids: Sequence[str]) -> list[FeatureRow | None]:
        values = self.get_raw_many([entity_id.encode() for entity_id in entity_ids])
        return [
            None if value is None else decode(entity_id, value)
            for entity_id, value in zip(entity_ids, values, strict=True)
        ]


def cut(value: bytes) -> tuple[bytes | None, bytes]:
    """The date's text and the JSON object of the features, cut out of a stored value without decoding it."""
    if value.startswith(_NO_DATE):
        return None, value[len(_NO_DATE) : -1]
    return value[_DATE], value[_AFTER_DATE:-1]


def decode(entity_id: str, value: bytes) -> FeatureRow:
    """The row of a stored value."""
    content = orjson.loads(value)
    day = content["feature_date"]
    return FeatureRow(
        entity_id=entity_id,
        feature_date=None if day is None else dt.date.fromisoformat(day),
        features=content["features"],
    )
