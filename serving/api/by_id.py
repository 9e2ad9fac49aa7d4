"""Features and predictions of an id, from the online store or from Hive, on whatever path they are asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.manifest import fits
from mlops_platform.online_store.hive import HiveStore
from mlops_platform.use_case.short_paths import ByIdPath
from serving.api import lookups
from serving.api.document import UNFIT, UNKNOWN
from serving.api.named import Model, served_from
from serving.api.responses import json_bytes, request_id_of
from serving.api.schemas import Schemas
from serving.predict.predictor import Asked, look_up, require_model
from serving.problems import not_ready, overloaded, unknown_id
from serving.runtime import Runtime
from serving.served import Served

HIVE_LOOKUPS_AT_ONCE = 4

Answers = Literal["features", "prediction"]
Source = Annotated[
    Literal["online", "hive"],
    Query(
        description="`hive` asks the Hive view instead of the online store: the same values, a thousand times slower"
    ),
]


class ByIdRoutes:
    """The routes of one use case that take an id."""

    def __init__(self, runtime: Runtime, schemas: Schemas) -> None:
        self._runtime = runtime
        self._use_case = use_case = schemas.use_case
        self._schemas = schemas
        settings = runtime.settings
        self._hive = HiveStore(settings.hiveserver2_host, settings.hiveserver2_port, use_case)
        self._hive_lookups = asyncio.Semaphore(HIVE_LOOKUPS_AT_ONCE)

    def add(self, router: APIRouter, path: str, answers: Answers) -> None:
        """``GET <path>/{id}``; and ``POST <path>`` for predictions."""
        entity_id: Any = Annotated[self._schemas.entity_id_in_path, Path()]
        self._add(router, f"{path}/{{id}}", self._route(entity_id, answers), answers)
        if answers == "prediction":
            router.add_api_route(
                path,
                self._predict_body(),
                methods=["POST"],
                response_model=self._schemas.prediction | self._schemas.row_predictions,
                responses=UNKNOWN | UNFIT,
                summary="Predictions for an id, a list of ids, or rows of features",
            )

    def add_query(self, router: APIRouter, path: ByIdPath) -> None:
        """``GET <path>/?<parameter>=``."""
        entity_id: Any = Annotated[self._schemas.entity_id, Query(alias=path.parameter)]
        self._add(router, f"{path.path}/", self._route(entity_id, path.answers), path.answers)

    def _route(self, entity_id: Any, answers: Answers) -> Callable[..., Awaitable[Response]]:
        async def features(request: Request, id: entity_id, source: Source = "online") -> Response:  # noqa: A002
            return await self._features(request, id, source)

        async def predict(
            request: Request,
            id: entity_id,  # noqa: A002
            source: Source = "online",
            model: Model = None,
        ) -> Response:
            served = await served_from(self._runtime, self._use_case.name, model)
            return await self._predict(request, served, id, source)

        return features if answers == "features" else predict

    def _add(self, router: APIRouter, path: str, route: Callable[..., Awaitable[Response]], answers: Answers) -> None:
        of_features = answers == "features"
        router.add_api_route(
            path,
            route,
            methods=["GET"],
            response_model=self._schemas.features if of_features else self._schemas.prediction,
            responses=UNKNOWN if of_features else UNKNOWN | UNFIT,
            summary="Features of an id" if of_features else "Prediction for an id",
        )

    async def _features(self, request: Request, entity_id: str, source: str) -> Response:
        served = self._runtime.served[self._use_case.name]
        if source == "online":
            headers, body = await lookups.features(served, entity_id.encode())
            return json_bytes(body, headers)
        asked, snapshot = await self._ask_hive(entity_id)
        headers, body = lookups.features_from_hive(asked, snapshot)
        return json_bytes(body, headers)

    async def _predict(self, request: Request, served: Served, entity_id: str, source: str) -> Response:
        request_id = request_id_of(request)
        predictor = self._runtime.predictor
        if source == "online":
            body = await predictor.answer_one(served, await look_up(served, entity_id), request_id)
        else:
            asked, snapshot = await self._ask_hive(entity_id)
            await self._require_fit(served, snapshot)
            body = await predictor.answer_one(served, asked, request_id, snapshot=snapshot)
        return json_bytes(body)

    async def _require_fit(self, served: Served, snapshot: str) -> None:
        """Raises a 503 where Hive shows a snapshot whose features are not those that the model knows."""
        if snapshot == served.snapshot_id:
            return
        manifest = await asyncio.to_thread(Snapshots(self._runtime.lake, self._use_case.name).find, snapshot)
        model = require_model(served)
        if manifest is None or not fits(model.manifest, manifest):
            raise not_ready(self._use_case.name, f"champion fits snapshot {snapshot}, which Hive shows")

    def _predict_body(self) -> Callable[..., Awaitable[Response]]:
        body_type: Any = self._schemas.predict_request

        async def predict(request: Request, body: body_type, model: Model = None) -> Response:
            served = await served_from(self._runtime, self._use_case.name, model)
            answer = await self._runtime.predictor.answer_body(served, body, request_id_of(request))
            return json_bytes(answer)

        return predict

    async def _ask_hive(self, entity_id: str) -> tuple[Asked, str]:
        if self._hive_lookups.locked():
            raise overloaded(f"{HIVE_LOOKUPS_AT_ONCE} lookups in Hive are under way, which is the limit")
        async with self._hive_lookups:
            found = await asyncio.to_thread(self._hive.get_with_snapshot, entity_id)
        if found is None:
            raise unknown_id(self._use_case.name, self._use_case.entity_key, entity_id, "that Hive publishes")
        row, snapshot = found
        day = None if row.feature_date is None else row.feature_date.isoformat()
        return Asked(entity_id, day, row.features), snapshot
