"""How every route answers: JSON bytes, documented refusals, and where in a request an error stands."""

from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from serving.problems import MEDIA_TYPE, Problem, ProblemDocument, invalid

JSON = "application/json"
COMPONENTS = "#/components/schemas/"
Responses = dict[int | str, dict[str, Any]]


def problem_response(description: str) -> dict[str, Any]:
    """An entry of a route's documented responses."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{COMPONENTS}ProblemDocument"}}}}


def problem_components() -> dict[str, Any]:
    """The schemas that every :func:`problem_response` refers to."""
    schema = ProblemDocument.model_json_schema(ref_template=COMPONENTS + "{model}")
    return {**schema.pop("$defs"), "ProblemDocument": schema}


REFUSED: Responses = {
    401: problem_response("no key, or not one of ours"),
    403: problem_response("the key's scope does not allow this"),
}
UNREADY: Responses = {503: problem_response("no model or snapshot yet, or more load than can be answered")}
INVALID: Responses = {
    400: problem_response("the request cannot be read"),
    408: problem_response("the body did not come in time"),
    413: problem_response("the body is too large"),
    415: problem_response("the body is of a type that is not taken"),
    422: problem_response("the request is malformed"),
}
UNKNOWN: Responses = {404: problem_response("no such id, model or version")}
READS: Responses = REFUSED | UNREADY | INVALID


def request_id_of(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def json_response(body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    return Response(body, status_code=status, headers=headers, media_type=JSON)


def field_errors(found: Iterable[Any], place: str | None = None) -> list[dict[str, str]]:
    """Pydantic's errors by field. The value that was found stays out: it may be personal, and answers get logged.

    ``place`` names what was validated, where the errors do not start with it.
    """
    prefix = () if place is None else (place,)
    return [{"field": _field((*prefix, *entry["loc"])), "message": entry["msg"]} for entry in found]


def malformed(error: RequestValidationError) -> Problem:
    """A 422 that names the first fields that are wrong, and lists all of them."""
    errors = field_errors(error.errors())
    return invalid("; ".join(f"{entry['field']}: {entry['message']}" for entry in errors[:3]), errors)


def validated(schema: TypeAdapter[Any], value: Any, place: str) -> Any:
    """The value as the schema makes it.

    Raises:
        Problem: 422 that names the fields in ``place``.
    """
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        errors = field_errors(error.errors(), place)
        raise invalid(f"{errors[0]['field']}: {errors[0]['message']}", errors) from None


def _field(place: tuple[str | int, ...]) -> str:
    """A body's alternative has the name of its member, which would come twice."""
    repeated = len(place) > 2 and place[1] == place[2]  # noqa: PLR2004
    return ".".join(str(part) for part in (place[:1] + place[2:] if repeated else place))
