"""From ids or rows to predictions: look up, join, predict, record. The one definition behind every route."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from mlops_platform.models.outcome import MEMBERS, Outcome, Score
from mlops_platform.models.scorer import Row
from mlops_platform.online_store.embedded import EmbeddedStore
from serving.log.outcomes import logged_outcome
from serving.log.prediction_log import PredictionLog
from serving.model import ServedModel
from serving.observe.metrics import Metrics
from serving.predict.scoring import Scoring
from serving.problems import Problem, not_ready, unknown_id
from serving.served import Served, ServedStore, Variant


class Asked(NamedTuple):
    """One row to predict. ``id`` and ``feature_date`` are None for a row of features that a caller gave."""

    id: str | None
    feature_date: str | None
    features: Row


class Prediction(NamedTuple):
    """One model's answer for one row."""

    variant: Variant
    model: ServedModel
    outcome: Outcome


def require_store(served: Served) -> ServedStore:
    """Raises a 503 before the first snapshot."""
    if served.store is None:
        raise not_ready(served.use_case.name, "snapshot is published")
    return served.store


def require_champion(served: Served) -> ServedModel:
    """Raises a 503 before the first champion."""
    if served.champion is None:
        raise not_ready(served.use_case.name, "champion is registered")
    return served.champion


def require_model(served: Served) -> ServedModel:
    """The model that answers a row without an id. Raises a 503 before the first champion."""
    return served.named or require_champion(served)


async def stored(store: ServedStore, entity_id: bytes) -> bytes | None:
    """The stored value of an id, None for a miss: at once from the mapped file, in another thread from Redis."""
    if isinstance(store, EmbeddedStore):
        return store.get_raw(entity_id)
    return (await store.get_raw_many([entity_id]))[0]


async def stored_many(store: ServedStore, entity_ids: Sequence[str]) -> list[bytes | None]:
    """Likewise of several ids, in the order asked for."""
    keys = [entity_id.encode() for entity_id in entity_ids]
    return store.get_raw_many(keys) if isinstance(store, EmbeddedStore) else await store.get_raw_many(keys)


async def look_up(served: Served, entity_id: str) -> Asked:
    """The latest features of an id, from the online store.

    Raises:
        Problem: 503 without a snapshot, 404 for an unknown id.
    """
    store = require_store(served)
    value = await stored(store, entity_id.encode())
    if value is None:
        raise _unknown(served, entity_id, store)
    content = orjson.loads(value)
    return Asked(entity_id, content["feature_date"], content["features"])


async def look_up_many(served: Served, entity_ids: Sequence[str]) -> list[Asked | None]:
    """One answer per id, in the order asked for, None for an unknown one."""
    store = require_store(served)
    values = await stored_many(store, entity_ids)
    contents = [None if value is None else orjson.loads(value) for value in values]
    return [
        None if content is None else Asked(entity_id, content["feature_date"], content["features"])
        for entity_id, content in zip(entity_ids, contents, strict=True)
    ]


async def look_up_all(served: Served, entity_ids: Sequence[str]) -> list[Asked]:
    """One answer per id, in the order asked for.

    Raises:
        Problem: 503 without a snapshot, 404 that names the first unknown id.
    """
    found: list[Asked] = []
    for entity_id, asked in zip(entity_ids, await look_up_many(served, entity_ids), strict=True):
        if asked is None:
            raise _unknown(served, entity_id, require_store(served))
        found.append(asked)
    return found


def _unknown(served: Served, entity_id: str, store: ServedStore) -> Problem:
    return unknown_id(served.use_case.name, served.use_case.entity_key, entity_id, store.snapshot)


class Predictor:
    """Predicts and records; one per worker. Where the log's bound is 0, records are on disk when an answer is there."""

    def __init__(self, log: PredictionLog, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._scoring = Scoring()

    async def answer_one(self, served: Served, asked: Asked, request_id: str, *, snapshot: str | None = None) -> bytes:
        """The JSON answer for one id; recorded. ``snapshot`` names another one than the online store's.

        Raises:
            Problem: 503 without a champion, or where the log has no room.
        """
        now = time.time()
        snapshot = snapshot or served.snapshot_id
        found = await self._predict_one(served, asked, _Occasion(request_id, now, snapshot))
        return orjson.dumps(
            {
                "id": asked.id,
                **found.outcome,
                "feature_date": asked.feature_date,
                "stale": served.stale(now),
                "variant": found.variant,
                "model_version": found.model.version,
                "snapshot": snapshot,
                "request_id": request_id,
            }
        )

    async def answer_many(
        self, served: Served, entity_ids: Sequence[str | None], rows: Sequence[Asked | None], request_id: str
    ) -> bytes:
        """The JSON answer for several rows, in order; members of an unknown id are null.

        Raises:
            Problem: as :meth:`answer_one`.
        """
        now = time.time()
        known = {at: row for at, row in enumerate(rows) if row is not None}
        found = await self._predict(served, known, _Occasion(request_id, now, served.snapshot_id))
        answers = [(row, found.get(at)) for at, row in enumerate(rows)]
        nothing = dict.fromkeys(MEMBERS[served.use_case.task])
        return orjson.dumps(
            {
                "predictions": [
                    {
                        "id": entity_id,
                        **(nothing if answer is None else answer.outcome),
                        "feature_date": row and row.feature_date,
                        "variant": answer and answer.variant,
                        "model_version": answer and answer.model.version,
                    }
                    for entity_id, (row, answer) in zip(entity_ids, answers, strict=True)
                ],
                "stale": served.stale(now),
                "snapshot": served.snapshot_id,
                "request_id": request_id,
            }
        )

    async def answer_body(self, served: Served, body: Any, request_id: str) -> bytes:
        """The JSON answer to a validated body (``Schemas.predict_request``): an id, a list of ids, or rows.

        Raises:
            Problem: as :meth:`answer_one` and :func:`look_up`.
        """
        if hasattr(body, "id"):
            return await self.answer_one(served, await look_up(served, body.id), request_id)
        if hasattr(body, "ids"):
            return await self.answer_many(served, body.ids, await look_up_many(served, body.ids), request_id)
        rows = [Asked(None, None, row.model_dump()) for row in body.rows]
        return await self.answer_many(served, [None] * len(rows), rows, request_id)

    async def predict(self, served: Served, asked: Sequence[Asked], request_id: str) -> list[Prediction]:
        """One prediction per row, in order; recorded. A row that was looked up keeps its id: it says who answers.

        Raises:
            Problem: as :meth:`answer_one`.
        """
        occasion = _Occasion(request_id, time.time(), served.snapshot_id)
        return list((await self._predict(served, dict(enumerate(asked)), occasion)).values())

    async def unrecorded(self, served: Served, asked: Asked) -> Prediction:
        """What the model that answers this row says, without a record: for an explanation.

        Raises:
            Problem: 503 without a champion.
        """
        require_model(served)
        return (await self._by_variant(served, [served.variant(asked.id)], [asked]))[0]

    async def _predict_one(self, served: Served, row: Asked, occasion: "_Occasion") -> Prediction:
        """What :meth:`_predict` does, for one row and without the lists around it: a tenth of a request's time."""
        if served.routing.shadow and served.challenger is not None:
            return (await self._predict(served, {0: row}, occasion))[0]
        require_model(served)
        with self._log.reserve(1) as records:
            variant = served.variant(row.id)
            model = _there(served.model(variant))
            found = _prediction(variant, model, await self._scoring.score_one(model, row.features))
            records.lines.append(_line(served.use_case.name, 0, row, found, occasion, answered=True))
        await records.on_disk()
        self._metrics.predicted(served.use_case.name, variant, found.model.version, 1)
        return found

    async def _predict(
        self, served: Served, asked: Mapping[int, Asked], occasion: "_Occasion"
    ) -> dict[int, Prediction]:
        """The predictions by position in the request, in the order of the rows: there is no row for an unknown id."""
        rows = list(asked.values())
        require_model(served)
        shadow = served.routing.shadow and served.challenger is not None
        with self._log.reserve(len(rows) * (2 if shadow else 1)) as records:
            variants = [served.variant(row.id) for row in rows]
            found = await self._by_variant(served, variants, rows)
            records.lines += _lines(served.use_case.name, asked, found, occasion, answered=True)
            if shadow:
                others = [_OTHER[variant] for variant in variants]
                unasked = await self._by_variant(served, others, rows)
                records.lines += _lines(served.use_case.name, asked, unasked, occasion, answered=False)
        await records.on_disk()
        for (variant, version), count in Counter((one.variant, one.model.version) for one in found).items():
            self._metrics.predicted(served.use_case.name, variant, version, count)
        return dict(zip(asked, found, strict=True))

    async def _by_variant(self, served: Served, variants: Sequence[Variant], rows: Sequence[Asked]) -> list[Prediction]:
        """Each row scored by the model of its variant."""
        models = {variant: _there(served.model(variant)) for variant in variants}
        scores: dict[Variant, Iterator[Score]] = {}
        for variant, model in models.items():
            chosen = [row.features for row, wanted in zip(rows, variants, strict=True) if wanted == variant]
            scores[variant] = iter(await self._scoring.score(model, chosen))
        return [_prediction(variant, models[variant], next(scores[variant])) for variant in variants]


def _prediction(variant: Variant, model: ServedModel, score: Score) -> Prediction:
    return Prediction(variant, model, model.outcome(score))


def _there(model: ServedModel | None) -> ServedModel:
    if model is None:
        raise RuntimeError("a row was routed to a model that is not there")
    return model


_OTHER: dict[Variant, Variant] = {"champion": "challenger", "challenger": "champion"}


class _Occasion(NamedTuple):
    """What all predictions of one request have in common."""

    request_id: str
    time: float
    snapshot: str | None


def _lines(
    use_case: str, asked: Mapping[int, Asked], found: Sequence[Prediction], occasion: _Occasion, *, answered: bool
) -> list[bytes]:
    return [
        _line(use_case, position, row, answer, occasion, answered=answered)
        for (position, row), answer in zip(asked.items(), found, strict=True)
    ]


def _line(
    use_case: str, position: int, row: Asked, answer: Prediction, occasion: _Occasion, *, answered: bool
) -> bytes:
    """A record of the log as a JSON line; the members are the columns of ``serving.log.schema``."""
    record = {
        "request_id": occasion.request_id,
        "position": position,
        "time": occasion.time,
        "use_case": use_case,
        "id": row.id,
        "feature_date": row.feature_date,
        "features": row.features,
        **logged_outcome(answer.outcome),
        "model_version": answer.model.version,
        "model_sha256": answer.model.registration.manifest_sha256,
        "snapshot": occasion.snapshot,
        "variant": answer.variant,
        "served": answered,
    }
    # what orjson returns keeps its working buffer, 4 KB of memory, for as long as it is queued; a copy has its own size
    return bytes(memoryview(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)))
