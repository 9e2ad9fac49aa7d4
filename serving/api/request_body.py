"""A request's body: read whole, within a bound of bytes and of time, before the request has its turn.

So a slow sender keeps nobody waiting but itself.
"""

import asyncio

from starlette.types import Message, Receive, Scope

from serving.problems import Problem

SECONDS = 10


async def read_body(scope: Scope, receive: Receive, largest: int) -> bytes:
    """The body, of which no more is read than ``largest`` bytes, whatever its length claims to be.

    Raises:
        Problem: 413, 408 where it does not come in time, or 400 where it breaks off.
    """
    too_large = Problem(413, "body-too-large", f"a body of at most {largest} bytes is taken")
    claimed = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if claimed.isdigit() and int(claimed) > largest:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "body-incomplete", "the connection was closed within the body")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > largest:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "body-too-slow", f"the body did not come within {SECONDS} s") from None
    return bytes(body)


def given_again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already; then whatever else comes."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
