"""Gives a logged answer again, from the snapshot and the model that gave it."""

import asyncio
from typing import Any

from mlops_platform.errors import ModelError, PlatformError
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.protocol import FeatureRow, FeatureValue
from serving.model import ServedModel
from serving.predict.scoring import DECIMALS
from serving.problems import Problem
from serving.runtime import Runtime


async def replay(runtime: Runtime, request_id: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Each record's answer beside what the stored snapshot and model say now.

    ``features_from`` is ``log`` for rows that a caller gave and for a snapshot that is no longer kept.

    Raises:
        Problem: 409 where the model of the time is to be had no more.
    """
    return {"request_id": request_id, "answers": [await _again(runtime, record) for record in records]}


async def _again(runtime: Runtime, record: dict[str, Any]) -> dict[str, Any]:
    name, version = record["use_case"], record["model_version"]
    if name not in runtime.use_cases:
        raise Problem(409, "replay-impossible", f"there is no use case {name} any more")
    features, source = await _features(runtime, record)
    model = await _model(runtime, name, version)
    probability = round((await asyncio.to_thread(model.compiled.probabilities, [features]))[0], DECIMALS)
    recorded = {"prediction": record["label"], "probability": record["score"]}
    replayed = {"prediction": model.label(probability), "probability": probability}
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


async def _features(runtime: Runtime, record: dict[str, Any]) -> tuple[dict[str, FeatureValue], str]:
    row = None
    if record["id"] is not None and record["snapshot"] is not None:
        store = runtime.served[record["use_case"]].store
        if store is not None and store.snapshot == record["snapshot"]:
            row = store.get(record["id"])
        else:
            async with runtime.old_stores:
                row = await asyncio.to_thread(_old_row, runtime, record)
    return (record["features"], "log") if row is None else (row.features, "snapshot")


def _old_row(runtime: Runtime, record: dict[str, Any]) -> FeatureRow | None:
    """From a snapshot that is kept but no longer served; None where it is not kept."""
    try:
        manifest = Snapshots(runtime.lake, record["use_case"]).get(record["snapshot"])
        store = EmbeddedStore(runtime.lake.root / manifest.online_path, manifest.snapshot)
    except PlatformError:
        return None
    try:
        return store.get(record["id"])
    finally:
        store.close()


async def _model(runtime: Runtime, name: str, version: str) -> ServedModel:
    served = runtime.served[name]
    for loaded in (served.champion, served.challenger):
        if loaded is not None and loaded.version == version:
            return loaded
    try:
        return await asyncio.to_thread(runtime.copies[name].load, version)
    except ModelError:
        pass
    try:
        return await runtime.copies[name].fetch(version, runtime.registry)
    except PlatformError as error:
        raise Problem(409, "replay-impossible", f"version {version} of {name}: {error}") from None
