"""The routes, typed from each use case's spec: one set below ``/v1/<use_case>``, and short paths for the default one.

A route here gives an answer's bytes. The hot ones are also answered before the framework is asked (``hot.py``), by the
same functions; whatever is not the plain case comes here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from fastapi_offline import FastAPIOffline
from starlette.responses import PlainTextResponse

from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.online_store.hive import HiveStore
from serving.api import lookups
from serving.api.admin import admin_routes
from serving.api.document import NOT_READY, UNKNOWN, complete
from serving.api.errors import answer_errors
from serving.api.keys import ApiKeys
from serving.api.model_card import model_card
from serving.api.protocols.kserve import kserve_routes
from serving.api.protocols.sagemaker import sagemaker_routes
from serving.api.readiness import without_reasons
from serving.api.responses import caller_of, json_bytes, json_response, request_id_of
from serving.api.schemas import ModelCard, Schemas
from serving.follow.pairing import fits
from serving.predict import explain as explaining
from serving.predict.predictor import Asked, look_up, require_champion
from serving.problems import not_ready, overloaded, unknown_id
from serving.runtime import Runtime
from serving.served import Served

HIVE_LOOKUPS_AT_ONCE = 4
EXPLANATIONS_AT_ONCE = 4

Source = Annotated[
    Literal["online", "hive"],
    Query(
        description="`hive` asks the Hive view instead of the online store: the same values, a thousand times slower"
    ),
]


def build_api(
    runtime: Runtime, keys: ApiKeys, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """The FastAPI application behind the gate, which asks for the keys that the document says are required."""
    api = FastAPIOffline(
        title="Prediction service",
        version="1.0.0",
        description="The latest features of an id, and the champion's prediction for it.\n\n"
        "`HEAD` is answered wherever `GET` is; any other method that a path does not have is refused by a 405 that "
        "lists in `Allow` those that it has.",
        lifespan=lifespan,
        redirect_slashes=False,
    )
    answer_errors(api)
    api.include_router(_health(runtime, keys))
    api.include_router(admin_routes(runtime, keys))
    limit = runtime.settings.serving_batch_limit
    schemas = {name: Schemas(use_case, limit) for name, use_case in runtime.use_cases.items()}
    api.include_router(kserve_routes(runtime, schemas))
    api.include_router(sagemaker_routes(runtime, schemas))
    for name, of_use_case in schemas.items():
        routes = UseCaseRoutes(runtime, of_use_case)
        if name == runtime.settings.serving_default_use_case:
            api.include_router(routes.short())
        api.include_router(routes.versioned())
    complete(api.openapi(), keys_required=keys.required)
    return api


class UseCaseRoutes:
    """The routes of one use case."""

    def __init__(self, runtime: Runtime, schemas: Schemas) -> None:
        self._runtime = runtime
        self._use_case = use_case = schemas.use_case
        self._schemas = schemas
        settings = runtime.settings
        self._hive = HiveStore(settings.hiveserver2_host, settings.hiveserver2_port, use_case)
        self._explanations = asyncio.Semaphore(EXPLANATIONS_AT_ONCE)
        self._hive_lookups = asyncio.Semaphore(HIVE_LOOKUPS_AT_ONCE)

    def versioned(self) -> APIRouter:
        """Everything, below ``/v1/<use_case>``."""
        router = APIRouter(prefix=f"/v1/{self._use_case.name}", tags=[self._use_case.title])
        self._add_lookups(router)
        router.add_api_route(
            "/features:batch",
            self._features_batch(),
            methods=["POST"],
            response_model=self._schemas.features_answer,
            summary="Features of several ids",
        )
        router.add_api_route(
            "/model",
            self._model,
            methods=["GET"],
            response_model=ModelCard,
            responses=UNKNOWN,
            summary="The model that answers",
        )
        self._add(router, "/explain/{id}", self._explain_route(), self._schemas.explanation, "Why an id got its score")
        return router

    def short(self) -> APIRouter:
        """The paths without a use case, which also take the id as ``?user_id=``."""
        router = APIRouter(tags=[f"{self._use_case.title} (short paths)"])
        entity_id = self._schemas.entity_id
        user_id: Any = Annotated[entity_id, Query()]

        async def features_of_user(request: Request, user_id: user_id, source: Source = "online") -> Response:
            return await self._features(request, user_id, source)

        async def predict_user(request: Request, user_id: user_id, source: Source = "online") -> Response:
            return await self._predict(request, user_id, source)

        self._add(router, "/features/", features_of_user, self._schemas.features, "Features of an id")
        self._add(router, "/predict/", predict_user, self._schemas.prediction, "Prediction for an id")
        self._add_lookups(router)
        return router

    def _add_lookups(self, router: APIRouter) -> None:
        kind = self._schemas.entity_id_in_path
        entity_id: Any = Annotated[kind, Path()]

        async def features(request: Request, id: entity_id, source: Source = "online") -> Response:  # noqa: A002
            return await self._features(request, id, source)

        async def predict(request: Request, id: entity_id, source: Source = "online") -> Response:  # noqa: A002
            return await self._predict(request, id, source)

        self._add(router, "/features/{id}", features, self._schemas.features, "Features of an id")
        self._add(router, "/predict/{id}", predict, self._schemas.prediction, "Prediction for an id")
        router.add_api_route(
            "/predict",
            self._predict_body(),
            methods=["POST"],
            response_model=self._schemas.prediction | self._schemas.row_predictions,
            responses=UNKNOWN,
            summary="Predictions for an id, a list of ids, or rows of features",
        )

    def _add(
        self, router: APIRouter, path: str, route: Callable[..., Awaitable[Response]], model: Any, summary: str
    ) -> None:
        router.add_api_route(path, route, methods=["GET"], response_model=model, responses=UNKNOWN, summary=summary)

    async def _features(self, request: Request, entity_id: str, source: str) -> Response:
        served = self._runtime.served[self._use_case.name]
        if source == "online":
            headers, body = await lookups.features(served, entity_id.encode())
            return json_bytes(body, headers)
        asked, snapshot = await self._ask_hive(entity_id)
        headers, body = lookups.features_from_hive(asked, snapshot)
        return json_bytes(body, headers)

    async def _predict(self, request: Request, entity_id: str, source: str) -> Response:
        served = self._runtime.served[self._use_case.name]
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
        """Raises a 503 where Hive shows a snapshot whose features are not those that the champion knows."""
        if snapshot == served.snapshot_id:
            return
        manifest = await asyncio.to_thread(Snapshots(self._runtime.lake, self._use_case.name).find, snapshot)
        champion = require_champion(served)
        if manifest is None or not fits(champion.manifest, manifest):
            raise not_ready(self._use_case.name, f"champion fits snapshot {snapshot}, which Hive shows")

    def _predict_body(self) -> Callable[..., Awaitable[Response]]:
        body_type: Any = self._schemas.predict_request

        async def predict(request: Request, body: body_type) -> Response:
            served = self._runtime.served[self._use_case.name]
            answer = await self._runtime.predictor.answer_body(served, body, request_id_of(request))
            return json_bytes(answer)

        return predict

    def _features_batch(self) -> Callable[..., Awaitable[Response]]:
        body_type: Any = self._schemas.features_request

        async def features_batch(request: Request, body: body_type) -> Response:
            given: Any = body
            served = self._runtime.served[self._use_case.name]
            return json_bytes(await lookups.features_batch(served, given.ids, request_id_of(request)))

        return features_batch

    async def _model(self, variant: Annotated[Literal["champion", "challenger"], Query()] = "champion") -> Response:
        return json_response(model_card(self._runtime.served[self._use_case.name], variant))

    def _explain_route(self) -> Callable[..., Awaitable[Response]]:
        kind = self._schemas.entity_id_in_path
        entity_id: Any = Annotated[kind, Path()]

        async def explain(request: Request, id: entity_id) -> Response:  # noqa: A002
            served = self._runtime.served[self._use_case.name]
            asked = await look_up(served, id)
            if self._explanations.locked():
                raise overloaded(f"{EXPLANATIONS_AT_ONCE} explanations are under way, which is the limit")
            async with self._explanations:
                found = await self._runtime.predictor.unrecorded(served, asked)
                _ = served.background  # read here: the store belongs to this thread
                body = await asyncio.to_thread(explaining.answer, served, asked, found, request_id_of(request))
            return json_bytes(body)

        return explain

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


def _health(runtime: Runtime, keys: ApiKeys) -> APIRouter:
    router = APIRouter(tags=["Health"])

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Which use cases can be answered, and what is not well",
        description="With a key of the scope admin also from which snapshots and models, what was refused, and why.",
        responses=NOT_READY,
    )
    async def readyz(request: Request) -> Response:
        details = {**runtime.readiness(), "api_keys": {"failure": keys.failure}}
        caller = caller_of(request)
        told = details if caller is not None and caller.scope == "admin" else without_reasons(details)
        return json_response(told, status=200 if details["status"] == "ready" else 503)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        page = await asyncio.to_thread(runtime.metrics.page)  # reads the files of all workers
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
