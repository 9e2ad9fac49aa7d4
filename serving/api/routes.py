"""The routes, typed from each use case's spec: one set below ``/v1/<use_case>``, and the short paths that it declares.

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

from serving.api import lookups
from serving.api.admin import admin_routes
from serving.api.by_id import ByIdRoutes
from serving.api.document import NOT_READY, UNFIT, UNKNOWN, complete
from serving.api.errors import answer_errors
from serving.api.keys import ApiKeys
from serving.api.model_card import model_card
from serving.api.named import Model, served_from
from serving.api.protocols.kserve import kserve_routes
from serving.api.protocols.sagemaker import sagemaker_routes
from serving.api.readiness import without_reasons
from serving.api.responses import caller_of, json_bytes, json_response, request_id_of
from serving.api.schemas import ModelCard, Schemas
from serving.api.short_paths import short_paths
from serving.predict import explain as explaining
from serving.predict.predictor import look_up
from serving.problems import overloaded
from serving.runtime import Runtime

EXPLANATIONS_AT_ONCE = 4


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
        by_id = ByIdRoutes(runtime, of_use_case)
        api.include_router(short_paths(runtime, of_use_case, by_id))
        router = APIRouter(prefix=f"/v1/{name}", tags=[of_use_case.use_case.title])
        by_id.add(router, "/features", "features")
        by_id.add(router, "/predict", "prediction")
        UseCaseRoutes(runtime, of_use_case).add(router)
        api.include_router(router)
    complete(api.openapi(), keys_required=keys.required)
    return api


class UseCaseRoutes:
    """The routes of one use case below ``/v1/<use_case>``, but for those that :class:`ByIdRoutes` gives."""

    def __init__(self, runtime: Runtime, schemas: Schemas) -> None:
        self._runtime = runtime
        self._use_case = schemas.use_case
        self._schemas = schemas
        self._explanations = asyncio.Semaphore(EXPLANATIONS_AT_ONCE)

    def add(self, router: APIRouter) -> None:
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
        router.add_api_route(
            "/explain/{id}",
            self._explain_route(),
            methods=["GET"],
            response_model=self._schemas.explanation,
            responses=UNKNOWN | UNFIT,
            summary="Why an id got its score",
        )

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

        async def explain(request: Request, id: entity_id, model: Model = None) -> Response:  # noqa: A002
            served = await served_from(self._runtime, self._use_case.name, model)
            asked = await look_up(served, id)
            if self._explanations.locked():
                raise overloaded(f"{EXPLANATIONS_AT_ONCE} explanations are under way, which is the limit")
            async with self._explanations:
                found = await self._runtime.predictor.unrecorded(served, asked)
                _ = served.background  # read here: the store belongs to this thread
                body = await asyncio.to_thread(explaining.answer, served, asked, found, request_id_of(request))
            return json_bytes(body)

        return explain


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
