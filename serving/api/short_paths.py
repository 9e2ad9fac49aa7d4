"""The short paths that use cases declare, by their shapes (``mlops_platform.use_case.short_paths``).

An id is answered as below ``/v1/<use_case>``; tables and health are answered here.
"""

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import create_model
from starlette.routing import Match
from starlette.types import Scope

from mlops_platform.use_case.short_paths import ByIdPath, ColumnsPath, HealthPath, RowsPath
from serving.api.by_id import ByIdRoutes
from serving.api.document import UNFIT, UNKNOWN
from serving.api.named import Model, served_from
from serving.api.responses import json_response, request_id_of
from serving.api.schemas import Schemas
from serving.api.tables import Table
from serving.predict.predictor import Asked, require_champion, require_model
from serving.runtime import Runtime

_TEST = "test"
_TEST_ANSWER = {"msg": "Test Success"}


def short_paths(runtime: Runtime, schemas: Schemas, by_id: ByIdRoutes) -> APIRouter:
    """Those of one use case."""
    router = APIRouter(tags=[f"{schemas.use_case.title} (short paths)"])
    for path in schemas.use_case.short_paths:
        match path:
            case ByIdPath():
                _add_test(router, f"{path.path}/")
                by_id.add_query(router, path)
                by_id.add(router, path.path, path.answers)
            case RowsPath() | ColumnsPath():
                _add_table(router, path, runtime, schemas)
            case HealthPath():
                _add_health(router, path, runtime, schemas)
    return router


class _TestRoute(APIRoute):
    """Takes a request that has ``test`` in its query, before the route that wants an id there."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        return super().matches(scope) if _TEST in asked else (Match.NONE, {})


def _add_test(router: APIRouter, path: str) -> None:
    async def test() -> Response:
        return json_response(_TEST_ANSWER)

    router.add_api_route(path, test, methods=["GET"], include_in_schema=False, route_class_override=_TestRoute)


def _add_table(router: APIRouter, path: RowsPath | ColumnsPath, runtime: Runtime, schemas: Schemas) -> None:
    table = Table(path, schemas)
    body_type: Any = table.request
    predicted: Any = schemas.predicted
    answered: Any = list[predicted]
    if isinstance(path, ColumnsPath):
        answered = create_model(
            f"{body_type.__name__.removesuffix('Request')}Answer", prediction=(predicted | answered, ...)
        )

    async def predict(request: Request, body: body_type, model: Model = None) -> Response:
        served = await served_from(runtime, schemas.use_case.name, model)
        require_model(served)
        rows = [Asked(None, None, row) for row in table.rows(body)]
        found = await runtime.predictor.predict(served, rows, request_id_of(request))
        predictions = [one.outcome["prediction"] for one in found]
        if isinstance(path, RowsPath):
            return json_response(predictions)
        return json_response({"prediction": predictions[0] if len(predictions) == 1 else predictions})

    router.add_api_route(
        path.path,
        predict,
        methods=["POST"],
        response_model=answered,
        responses=UNKNOWN | UNFIT,
        summary=f"Predictions for {'rows' if isinstance(path, RowsPath) else 'columns'} of features",
    )


def _add_health(router: APIRouter, path: HealthPath, runtime: Runtime, schemas: Schemas) -> None:
    async def health() -> Response:
        require_champion(runtime.served[schemas.use_case.name])
        return json_response(path.answer)

    router.add_api_route(
        path.path, health, methods=["GET"], response_model=dict[str, str], summary="The use case has a model"
    )
