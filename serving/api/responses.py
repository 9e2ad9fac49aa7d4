"""How a route answers: JSON bytes that nothing validates again."""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Request, Response

JSON = "application/json"


def request_id_of(request: Request) -> str:
    return str(request.scope["state"]["request_id"])


def json_bytes(body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()) -> Response:
    """What is JSON already."""
    response = Response(body, media_type=JSON)
    response.raw_headers += headers
    return response


def json_response(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type=JSON)
