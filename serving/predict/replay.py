"""Gives a logged answer again, from the snapshot and the model that gave it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.online_store.encoded import decode
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.online_store.published import published_store
from serving.log.outcomes import recorded_outcome
from serving.model import ServedModel
from serving.predict.predictor import stored_many
from serving.problems import Problem
from serving.served import Served

Record = Mapping[str, Any]
"""One prediction as the log has it, by the columns of its table."""


class Replay:
    """Answers from what was served then.

    Args:
        served: what is served now, by use case.
        model_of: the model of a use case, a version and the digest of its manifest, or a PlatformError; takes time. Of
            records of before they had the digest it is None, and the version alone tells.
    """

    def __init__(
        self,
        served: Mapping[str, Served],
        lake: Lake,
        model_of: Callable[[str, str, str | None], ServedModel],
    ) -> None:
        self._served = served
        self._lake = lake
        self._model_of = model_of

    async def answer(self, request_id: str, records: Sequence[Record]) -> dict[str, Any]:
        """The records of one request, each with its answer beside what the stored snapshot and model say now.

        ``features_from`` is ``log`` for rows that a caller gave and for a snapshot that is no longer kept.

        Raises:
            Problem: 409 where the model of the time is to be had no more.
        """
        for name in {record["use_case"] for record in records} - self._served.keys():
            raise Problem(409, "replay-impossible", f"there is no use case {name} any more")
        rows = await self._rows(records)
        answers = [await self._again(record, rows.get(record["id"])) for record in records]
        return {"request_id": request_id, "answers": answers}

    async def _again(self, record: Record, row: FeatureRow | None) -> dict[str, Any]:
        name, version, digest = record["use_case"], record["model_version"], record.get("model_sha256")
        features, source = (record["features"], "log") if row is None else (row.features, "snapshot")
        try:
            model = await asyncio.to_thread(self._model_of, name, version, digest)
        except PlatformError as error:
            raise Problem(409, "replay-impossible", f"version {version} of {name}: {error}") from None
        recorded = recorded_outcome(record)
        replayed = model.outcome((await asyncio.to_thread(model.scorer.score_rows, [features]))[0])
        return {
            "use_case": name,
            "position": record["position"],
            "id": record["id"],
            "variant": record["variant"],
            "served": record["served"],
            "model_version": version,
            "snapshot": record["snapshot"],
            "features_from": source,
            "recorded": recorded,
            "replayed": replayed,
            "same": recorded == replayed,
        }

    async def _rows(self, records: Sequence[Record]) -> Mapping[str, FeatureRow]:
        """Rows of the records' snapshot, which is one, by id; without those that are to be had no more."""
        use_case, snapshot = records[0]["use_case"], records[0]["snapshot"]
        ids = [record["id"] for record in records if record["id"] is not None]
        store = self._served[use_case].store
        if snapshot is None or not ids:
            return {}
        if store is not None and store.snapshot == snapshot:
            values = zip(ids, await stored_many(store, ids), strict=True)
            return {entity_id: decode(entity_id, value) for entity_id, value in values if value is not None}
        return await asyncio.to_thread(self._old_rows, use_case, snapshot, ids)

    def _old_rows(self, use_case: str, snapshot: str, ids: Sequence[str]) -> Mapping[str, FeatureRow]:
        """From a snapshot that is kept but no longer served."""
        try:
            with published_store(self._lake, Snapshots(self._lake, use_case).get(snapshot)) as store:
                return {entity_id: row for entity_id in ids if (row := store.get(entity_id)) is not None}
        except PlatformError:
            return {}
