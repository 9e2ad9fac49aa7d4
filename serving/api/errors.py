"""What an error becomes over HTTP: the one place that knows, for the framework's routes and for the gate.

An error of the service's own is a ``Problem`` already. What nobody foresaw is a 500 that tells nothing of its cause.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from mlops_platform.models.registry import RegistryDown
from mlops_platform.online_store.hive import HiveUnavailable
from serving.problems import MEDIA_TYPE, Problem, invalid

_KSERVE_PREFIX = "/v2"


def answer_errors(api: FastAPI) -> None:
    """Have each error of the application's routes answered by its problem document."""
    for kind in (Problem, RequestValidationError, HTTPException, HiveUnavailable, RegistryDown, Exception):
        api.add_exception_handler(kind, _answer)


def problem_of(error: BaseException, path: str) -> Problem:
    """The problem that the caller of a path is told of. KServe's clients look for it in the member ``error``."""
    problem = _problem_of(error)
    if path.startswith(_KSERVE_PREFIX):
        problem.members["error"] = problem.detail
    return problem


def _problem_of(error: BaseException) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _malformed(error)
        case HiveUnavailable() | RegistryDown():
            return Problem(503, "upstream-unavailable", str(error), headers={"retry-after": "5"})
        case _:
            return Problem(500, "internal", "the service failed; its log has the reason under this request id")


def _malformed(error: RequestValidationError) -> Problem:
    """A 422 that names the first fields that are wrong, and lists all of them."""
    errors = _field_errors(error.errors())
    return invalid("; ".join(f"{entry['field']}: {entry['message']}" for entry in errors[:3]), errors)


def validated(schema: TypeAdapter[Any], value: Any, place: str) -> Any:
    """The value as the schema makes it.

    Raises:
        Problem: 422 that names the fields in ``place``.
    """
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        raise _invalid(error, place) from None


def validated_json(schema: TypeAdapter[Any], content: bytes, place: str) -> Any:
    """The same of a value that is JSON, or should be."""
    try:
        return schema.validate_json(content)
    except ValidationError as error:
        raise _invalid(error, place) from None


def _answer(request: Request, error: Exception) -> Response:
    refused = _refused_by_framework(request, error) if isinstance(error, HTTPException) else error
    problem = problem_of(refused, request.url.path)
    body = problem.body(request.scope["state"]["request_id"])
    return Response(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def _refused_by_framework(request: Request, error: HTTPException) -> Problem:
    path = request.url.path
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return Problem(404, "http", f"there is nothing at {path}")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(_methods(request))
            return Problem(405, "http", f"{path} takes {allowed}", headers={"allow": allowed})
        case status:
            return Problem(status, "http", str(error.detail), headers=dict(error.headers or {}))


def _methods(request: Request) -> list[str]:
    """What can be asked of a path; the framework names the methods of the first route of several that has the path."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    found = {
        method
        for route in routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _invalid(error: ValidationError, place: str) -> Problem:
    errors = _field_errors(error.errors(), place)
    return invalid(f"{errors[0]['field']}: {errors[0]['message']}", errors)


def _field_errors(found: Iterable[Any], place: str | None = None) -> list[dict[str, str]]:
    """Pydantic's errors by field. The value that was found stays out: it may be personal, and answers get logged.

    ``place`` names what was validated, where the errors do not start with it.
    """
    prefix = () if place is None else (place,)
    return [{"field": _field((*prefix, *entry["loc"])), "message": entry["msg"]} for entry in found]


def _field(place: tuple[str | int, ...]) -> str:
    """A body's alternative has the name of its member, which would come twice."""
    repeated = len(place) > 2 and place[1] == place[2]  # noqa: PLR2004
    return ".".join(str(part) for part in (place[:1] + place[2:] if repeated else place))
