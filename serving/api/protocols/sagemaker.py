"""SageMaker's contract of an inference container, for the default use case: ``/ping`` and ``/invocations``.

``/endpoints/{name}/invocations`` is where AWS's own client (``invoke_endpoint`` of boto3, given this service as its
endpoint URL) sends the same; the endpoint's name is the use case's.

JSON takes what ``POST /predict`` takes. CSV has one row of features per line, in the spec's order and without a header,
an empty field for a null; it is answered by one line ``prediction,probability`` per row.
"""

import csv
import io
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from mlops_platform.use_case.spec import UseCase
from serving.api import answers
from serving.api.responses import READS, UNKNOWN, json_response, request_id_of, validated
from serving.api.schemas import Schemas
from serving.predict.predictor import Asked
from serving.problems import Problem, invalid
from serving.runtime import Runtime

CSV = "text/csv"


def sagemaker_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(tags=["SageMaker"])

    @router.get("/ping", responses=READS, summary="The default use case has a model")
    async def ping() -> Response:
        served = runtime.served.get(runtime.settings.serving_default_use_case)
        ready = served is not None and served.champion is not None
        return json_response(answers.dump({"ready": ready}), status=200 if ready else 503)

    for name, use_case in runtime.use_cases.items():
        _add_invocations(router, f"/endpoints/{name}/invocations", runtime, use_case)
    default = runtime.use_cases.get(runtime.settings.serving_default_use_case)
    if default is not None:
        _add_invocations(router, "/invocations", runtime, default)
    return router


def _add_invocations(router: APIRouter, path: str, runtime: Runtime, use_case: UseCase) -> None:
    schemas = Schemas(use_case)
    limit = runtime.settings.serving_batch_limit
    json_body: TypeAdapter[Any] = TypeAdapter(schemas.predict_request(limit))
    csv_row: TypeAdapter[Any] = TypeAdapter(schemas.feature_input)
    documented = {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object"}, "example": {"id": "5008804"}},
                CSV: {"schema": {"type": "string"}, "example": ",".join(str(f.example) for f in use_case.features)},
            },
        }
    }

    @router.post(
        path,
        responses=READS | UNKNOWN | {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
        openapi_extra=documented,
        summary="Predictions, as JSON or CSV",
    )
    async def invocations(request: Request) -> Response:
        content = await request.body()
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        served = runtime.served[use_case.name]
        request_id = request_id_of(request)
        if kind == CSV:
            rows = [validated(csv_row, row, f"line {at}") for at, row in enumerate(_lines(content, use_case, limit), 1)]
            asked = [Asked(None, None, row.model_dump()) for row in rows]
            found = await runtime.predictor.predict(served, asked, request_id)
            text = "".join(f"{answer.label},{answer.probability!r}\n" for answer in found)
            return Response(text, media_type=CSV)
        if kind != "application/json":
            raise Problem(415, "unsupported-media-type", f"expected application/json or {CSV}")
        try:
            given = validated(json_body, orjson.loads(content), "body")
        except orjson.JSONDecodeError:
            raise invalid("body: expected JSON") from None
        body = await runtime.predictor.answer_body(served, given, request_id)
        return json_response(body)


def _lines(content: bytes, use_case: UseCase, limit: int) -> list[dict[str, Any]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(content.decode()), strict=True) if line]
    except (UnicodeDecodeError, csv.Error):
        raise invalid("body: expected CSV in UTF-8") from None
    if not 0 < len(lines) <= limit:
        raise invalid(f"body: expected between 1 and {limit} lines, found {len(lines)}")
    for at, line in enumerate(lines, 1):
        if len(line) != len(use_case.features):
            expected = ", ".join(use_case.feature_names)
            raise invalid(f"line {at}: expected {len(use_case.features)} fields ({expected}), found {len(line)}")
    kinds = {feature.name: feature.type for feature in use_case.features}
    return [
        {name: _value(text, kinds[name]) for name, text in zip(use_case.feature_names, line, strict=True)}
        for line in lines
    ]


def _value(text: str, kind: str) -> int | float | str | None:
    """The field as its feature's type; what does not convert is left for the schema to refuse."""
    if text == "":
        return None
    if kind == "string":
        return text
    try:
        return int(text) if kind == "int" else float(text)
    except ValueError:
        return text
