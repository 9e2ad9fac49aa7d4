"""From ids or rows to predictions: look up, join, predict, record. The one definition behind every route."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from mlops_platform.online_store.embedded import EmbeddedStore
from serving.model import Row, ServedModel
from serving.prediction_log import Entry, PredictionLog
from serving.problems import not_ready, unknown_id
from serving.served import Served, Variant


class Asked(NamedTuple):
    """One row to predict. ``id`` and ``feature_date`` are None for a row of features that a caller gave."""

    id: str | None
    feature_date: str | None
    features: Row


class Occasion(NamedTuple):
    """What all predictions of one request have in common."""

    request_id: str
    time: float
    snapshot: str | None


class Prediction(NamedTuple):
    """One model's answer for one row."""

    variant: Variant
    model: ServedModel
    probability: float

    @property
    def label(self) -> int:
        return self.model.label(self.probability)


def require_store(served: Served) -> EmbeddedStore:
    """Raises a 503 before the first snapshot."""
    if served.store is None:
        raise not_ready(served.use_case.name, "snapshot is published")
    return served.store


def require_champion(served: Served) -> ServedModel:
    """Raises a 503 before the first champion."""
    if served.champion is None:
        raise not_ready(served.use_case.name, "champion is registered")
    return served.champion


def look_up(served: Served, entity_id: str) -> Asked:
    """The latest features of an id, from the online store.

    Raises:
        Problem: 503 without a snapshot, 404 for an unknown id.
    """
    store = require_store(served)
    value = store.get_raw(entity_id.encode())
    if value is None:
        raise unknown_id(served.use_case.name, served.use_case.entity_key, entity_id, store.snapshot)
    content = orjson.loads(value)
    return Asked(entity_id, content["feature_date"], content["features"])


def look_up_many(served: Served, entity_ids: Sequence[str]) -> list[Asked | None]:
    """One answer per id, in the order asked for, None for an unknown one."""
    store = require_store(served)
    values = [store.get_raw(entity_id.encode()) for entity_id in entity_ids]
    contents = [None if value is None else orjson.loads(value) for value in values]
    return [
        None if content is None else Asked(entity_id, content["feature_date"], content["features"])
        for entity_id, content in zip(entity_ids, contents, strict=True)
    ]


def answer_one(
    served: Served, asked: Asked, request_id: str, log: PredictionLog, *, snapshot: str | None = None
) -> bytes:
    """The JSON answer for one id; recorded. ``snapshot`` names another one than the online store's."""
    now = time.time()
    snapshot = snapshot or served.snapshot_id
    found = predict(served, [asked], log, Occasion(request_id, now, snapshot))[0]
    return orjson.dumps(
        {
            "id": asked.id,
            "prediction": found.label,
            "probability": found.probability,
            "feature_date": asked.feature_date,
            "stale": served.stale(now),
            "variant": found.variant,
            "model_version": found.model.version,
            "snapshot": snapshot,
            "request_id": request_id,
        }
    )


def answer_many(
    served: Served, entity_ids: Sequence[str | None], rows: Sequence[Asked | None], request_id: str, log: PredictionLog
) -> bytes:
    """The JSON answer for several rows, in order; members of an unknown id are null."""
    now = time.time()
    occasion = Occasion(request_id, now, served.snapshot_id)
    known = iter(predict(served, [row for row in rows if row is not None], log, occasion))
    answers = [(row, None if row is None else next(known)) for row in rows]
    return orjson.dumps(
        {
            "predictions": [
                {
                    "id": entity_id,
                    "prediction": found and found.label,
                    "probability": found and found.probability,
                    "feature_date": row and row.feature_date,
                    "variant": found and found.variant,
                    "model_version": found and found.model.version,
                }
                for entity_id, (row, found) in zip(entity_ids, answers, strict=True)
            ],
            "stale": served.stale(now),
            "snapshot": served.snapshot_id,
            "request_id": request_id,
        }
    )


def predict(served: Served, rows: Sequence[Asked], log: PredictionLog, occasion: Occasion) -> list[Prediction]:
    """Each row's prediction by the model that answers it, recorded together with those of a shadow.

    Raises:
        Problem: 503 without a champion, or where the log has no room.
    """
    champion = require_champion(served)
    shadow = served.challenger if served.routing.shadow else None
    log.admit(len(rows) * (1 if shadow is None else 2))
    found = _by_variant(served, champion, rows)
    entries = _entries(served.use_case.name, rows, found, occasion, answered=True)
    if shadow is not None:
        others = _not_asked(champion, shadow, rows, found)
        entries += _entries(served.use_case.name, rows, others, occasion, answered=False)
    log.put(entries)
    return found


def _by_variant(served: Served, champion: ServedModel, rows: Sequence[Asked]) -> list[Prediction]:
    challenger = served.challenger
    if challenger is None or not served.routing.challenger_share:
        return _run("champion", champion, rows)
    variants = [served.variant(row.id) for row in rows]
    parts = {
        "champion": iter(_run("champion", champion, _only(rows, variants, "champion"))),
        "challenger": iter(_run("challenger", challenger, _only(rows, variants, "challenger"))),
    }
    return [next(parts[variant]) for variant in variants]


def _not_asked(
    champion: ServedModel, challenger: ServedModel, rows: Sequence[Asked], found: Sequence[Prediction]
) -> list[Prediction]:
    """What the model that did not answer says of each row."""
    answered_by = [answer.variant for answer in found]
    by_challenger = iter(_run("challenger", challenger, _only(rows, answered_by, "champion")))
    by_champion = iter(_run("champion", champion, _only(rows, answered_by, "challenger")))
    return [next(by_challenger if variant == "champion" else by_champion) for variant in answered_by]


def _only(rows: Sequence[Asked], variants: Sequence[Variant], wanted: Variant) -> list[Asked]:
    return [row for row, variant in zip(rows, variants, strict=True) if variant == wanted]


def _run(variant: Variant, model: ServedModel, rows: Sequence[Asked]) -> list[Prediction]:
    if not rows:
        return []
    found = model.compiled.probabilities([row.features for row in rows])
    return [Prediction(variant, model, probability) for probability in found]


def _entries(
    use_case: str, rows: Sequence[Asked], found: Sequence[Prediction], occasion: Occasion, *, answered: bool
) -> list[Entry]:
    return [
        Entry(
            occasion.request_id,
            position,
            occasion.time,
            use_case,
            row.id,
            row.feature_date,
            row.features,
            answer.probability,
            answer.label,
            answer.model.version,
            occasion.snapshot,
            answer.variant,
            answered,
        )
        for position, (row, answer) in enumerate(zip(rows, found, strict=True))
    ]
