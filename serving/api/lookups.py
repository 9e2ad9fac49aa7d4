"""Features as they are published: of an id, and of several."""

import time
from collections.abc import Sequence

import orjson

from mlops_platform.online_store.encoded import cut
from serving.predict.predictor import Asked, look_up_many, require_store, stored
from serving.problems import unknown_id
from serving.served import Served

Headers = list[tuple[bytes, bytes]]

_STALE = {True: (b"x-stale", b"true"), False: (b"x-stale", b"false")}


async def features(served: Served, entity_id: bytes) -> tuple[Headers, bytes]:
    """Headers that say where they are from, and the JSON object of the features as it lies in the store.

    Raises:
        Problem: 503 without a snapshot, 404 for an unknown id.
    """
    store = require_store(served)
    value = await stored(store, entity_id)
    if value is None:
        raise unknown_id(served.use_case.name, served.use_case.entity_key, entity_id.decode(), store.snapshot)
    day, body = cut(value)
    return [*_source(served.snapshot_bytes, day), _STALE[served.stale(time.time())]], body


def features_from_hive(asked: Asked, snapshot: str) -> tuple[Headers, bytes]:
    """The same from a row that Hive gave, of which nobody knows whether it is stale."""
    day = asked.feature_date
    return _source(snapshot.encode(), None if day is None else day.encode()), orjson.dumps(asked.features)


def _source(snapshot: bytes, feature_date: bytes | None) -> Headers:
    if feature_date is None:
        return [(b"x-snapshot", snapshot)]
    return [(b"x-snapshot", snapshot), (b"x-feature-date", feature_date)]


async def features_batch(served: Served, entity_ids: Sequence[str], request_id: str) -> bytes:
    """The JSON answer for several ids, in order, with null features for an unknown one."""
    rows = await look_up_many(served, entity_ids)
    return orjson.dumps(
        {
            "rows": [
                {"id": entity_id, "feature_date": row and row.feature_date, "features": row and row.features}
                for entity_id, row in zip(entity_ids, rows, strict=True)
            ],
            "stale": served.stale(time.time()),
            "snapshot": served.snapshot_id,
            "request_id": request_id,
        }
    )
