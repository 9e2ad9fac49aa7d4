"""RFC 9457 problem documents: every answer of the service that is not a success is one of these."""

from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is not a success. ``type`` is a stable name for programs, ``detail`` a sentence for people."""

    def __init__(
        self, status: int, type_: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.type = type_
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def body(self, request_id: str) -> bytes:
        return orjson.dumps(
            {
                "type": f"urn:mlops:problem:{self.type}",
                "title": HTTPStatus(self.status).phrase,
                "status": self.status,
                "detail": self.detail,
                "request_id": request_id,
                **self.members,
            }
        )


class FieldError(BaseModel):
    """One field of a request that cannot be taken. The value itself is never repeated."""

    field: str = Field(description="where it stands in the request")
    message: str = Field(description="what was expected")


class ProblemDocument(BaseModel):
    """The shape of every problem, for OpenAPI."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] | None = None


def unknown_id(use_case: str, entity_key: str, entity_id: str, snapshot: str) -> Problem:
    return Problem(
        404,
        "unknown-id",
        f"{use_case} has no features for {entity_key} {entity_id} in snapshot {snapshot}",
    )


def not_ready(use_case: str, lacking: str) -> Problem:
    return Problem(
        503,
        "not-ready",
        f"{use_case} cannot answer yet: no {lacking}; run its pipeline, then look at /readyz",
        headers={"retry-after": "5"},
    )


def invalid(detail: str, errors: list[dict[str, str]] | None = None) -> Problem:
    return (
        Problem(422, "invalid-request", detail)
        if not errors
        else Problem(422, "invalid-request", detail, errors=errors)
    )


def overloaded(detail: str) -> Problem:
    return Problem(503, "overloaded", detail, headers={"retry-after": "1"})
