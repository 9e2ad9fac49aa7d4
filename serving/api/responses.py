"""How a route answers: JSON bytes that nothing validates again."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request, Response

from serving.api.keys import Caller

JSON = "application/json"


def request_id_of(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def caller_of(request: Request) -> Caller | None:
    """Who asks, where one of our keys was shown."""
    caller: Caller | None = request.scope["state"]["caller"]
    return caller


def json_bytes(body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    """What is JSON already."""
    response = Response(body, media_type=JSON)
    response.raw_headers += headers
    return response


def json_response(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type=JSON)
