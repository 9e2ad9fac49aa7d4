"""SageMaker's contract of an inference container, for the default use case: ``/ping`` and ``/invocations``.

``/endpoints/{name}/invocations`` is where AWS's own client (``invoke_endpoint`` of boto3, given this service as its
endpoint URL) sends the same; the endpoint's name is the use case's.

A body is decoded to what ``POST /predict`` takes, and encoded from what that answers:

* JSON is the one and the other as they are.
* CSV has one row of features per line, in the spec's order or in that of a first line with the features' names. An
  empty field is a null; so is ``nan`` for a number. The answer has one line per row: ``prediction,probability``; the
  class and the probability of each, in the spec's order; or the number. Its fields are empty for an unknown id.

Without a wish in ``Accept`` the answer is of the type of the body.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from mlops_platform.models.outcome import MEMBERS
from mlops_platform.use_case.spec import Feature, UseCase
from serving.api.document import MALFORMED, NOT_READY, UNKNOWN, by_reference, problem_response
from serving.api.errors import validated, validated_json
from serving.api.media_types import media_type, preferred
from serving.api.responses import JSON, json_response, request_id_of
from serving.api.schemas import Schemas
from serving.problems import Problem, invalid
from serving.runtime import Runtime

CSV = "text/csv"
LARGEST_INVOCATION_BYTES = 6 * 1024 * 1024
"""SageMaker's own bound of a real-time invocation."""

_INVOCATIONS = "/invocations"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII).fullmatch


def is_invocation(path: str) -> bool:
    return path.endswith(_INVOCATIONS)


def sagemaker_routes(runtime: Runtime, schemas: dict[str, Schemas]) -> APIRouter:
    router = APIRouter(tags=["SageMaker"])
    default = runtime.settings.serving_default_use_case

    @router.get("/ping", responses=NOT_READY, summary="The default use case has a model")
    async def ping() -> Response:
        served = runtime.served.get(default)
        ready = served is not None and served.champion is not None
        return json_response({"ready": ready}, status=200 if ready else 503)

    for name, of_use_case in schemas.items():
        _add_invocations(router, f"/endpoints/{name}{_INVOCATIONS}", runtime, of_use_case)
    if default in schemas:
        _add_invocations(router, _INVOCATIONS, runtime, schemas[default])
    return router


def _add_invocations(router: APIRouter, path: str, runtime: Runtime, schemas: Schemas) -> None:
    body_schema: TypeAdapter[Any] = TypeAdapter(schemas.predict_request)
    documented = {
        "required": True,
        "content": {JSON: {"schema": by_reference(body_schema)}},
        "description": _csv_in_words(schemas.use_case),
    }

    @router.post(
        path,
        responses={
            **UNKNOWN,
            200: {"content": {CSV: {"schema": {"type": "string"}}}},
            406: problem_response("neither JSON nor CSV is accepted"),
            415: problem_response("the body is of a type that is not taken"),
            422: MALFORMED,
        },
        response_model=schemas.prediction | schemas.row_predictions,
        openapi_extra={"requestBody": documented},
        summary="Predictions, as JSON or CSV",
    )
    async def invocations(request: Request) -> Response:
        sent = media_type(request.headers.get("content-type", JSON))
        if sent.name not in {JSON, CSV}:
            raise Problem(415, "unsupported-media-type", f"expected {JSON} or {CSV}")
        wanted = preferred(request.headers.get("accept"), (sent.name, CSV if sent.name == JSON else JSON))
        if wanted is None:
            raise Problem(406, "not-acceptable", f"an answer is {JSON} or {CSV}; name one of them in Accept")
        content = await request.body()
        if sent.name == JSON:
            given = validated_json(body_schema, content, "body")
        else:
            given = _decode_csv(content, sent.parameters.get("charset", "utf-8"), schemas)
        served = runtime.served[schemas.use_case.name]
        answer = await runtime.predictor.answer_body(served, given, request_id_of(request))
        return Response(answer if wanted == JSON else _encode_csv(answer, schemas.use_case), media_type=wanted)


def _csv_in_words(use_case: UseCase) -> str:
    """There is no schema that a text of CSV could be checked by, so the document does not offer it as JSON's equal."""
    example = ",".join(str(feature.example) for feature in use_case.features)
    return (
        f"JSON as for `POST /predict`; or `{CSV}`: one row of features per line, in the order "
        f"{', '.join(use_case.feature_names)}, an empty field for a null. For example: `{example}`"
    )


def _decode_csv(content: bytes, charset: str, schemas: Schemas) -> Any:
    """The rows, each checked as one of a JSON body is; an error names the line."""
    row_schema: TypeAdapter[Any] = TypeAdapter(schemas.feature_input)
    try:
        lines = list(_lines(content.decode(charset).removeprefix("\ufeff"), schemas))
    except LookupError:
        raise Problem(415, "unsupported-media-type", "the charset is not known; send UTF-8") from None
    except (UnicodeError, csv.Error):
        raise invalid(f"body: expected CSV in {charset}") from None
    if not lines:
        raise invalid(f"body: expected between 1 and {schemas.batch_limit} lines, found 0")
    rows = [validated(row_schema, row, f"line {number}") for number, row in lines]
    return schemas.rows_request.model_construct(rows=rows)


def _lines(text: str, schemas: Schemas) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number of each line of features, and the row; empty lines are none."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    features = {feature.name: feature for feature in schemas.use_case.features}
    names = list(features)
    start = 0
    for at, fields in enumerate(fields for fields in reader if fields):
        if at == 0 and sorted(fields) == sorted(features):
            names, start = fields, 1
            continue
        if at - start >= schemas.batch_limit:
            raise invalid(f"body: expected between 1 and {schemas.batch_limit} lines, found more")
        if len(fields) != len(names):
            raise invalid(
                f"line {reader.line_num}: expected {len(names)} fields ({', '.join(names)}), found {len(fields)}"
            )
        row = {name: _value(field, features[name]) for name, field in zip(names, fields, strict=True)}
        yield reader.line_num, row


def _value(field: str, feature: Feature) -> int | float | str | None:
    """The field as its feature's type; what is none is left for the schema to refuse."""
    if field == "":
        return None
    if feature.type == "string":
        return field
    number = field.strip()
    if number.lower() == "nan":
        return None
    if not _NUMBER(number):
        return field
    try:
        return int(number)
    except ValueError:  # it has a point or an exponent, or more digits than Python reads
        return float(number)


def _encode_csv(answer: bytes, use_case: UseCase) -> bytes:
    content = orjson.loads(answer)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(_fields(row, use_case) for row in content.get("predictions", [content]))
    return text.getvalue().encode()


def _fields(row: dict[str, Any], use_case: UseCase) -> list[Any]:
    if use_case.task != "multiclass":
        return [row[member] for member in MEMBERS[use_case.task]]
    probabilities = row["probabilities"] or {}
    return [row["prediction"], *(probabilities.get(name) for name in use_case.label.classes)]
