"""The ASGI application: a gate in front of the FastAPI routes, and the hot routes answered in the gate.

The gate names the request, checks the key, bounds the body and has requests take turns. A plain GET for the features
or the prediction of an id is answered there by the functions that the framework's routes call too; a miss, an error, a
query or anything unusual goes to the framework, so that there is one definition of every other answer.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from fastapi import FastAPI

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from mlops_platform.use_case.ids import ids_are_whole_numbers
from mlops_platform.use_case.spec import UseCase
from serving.api import answers
from serving.api.overload import too_much
from serving.api.routes import build_api
from serving.api.segments import match_by_segments
from serving.predict.predictor import look_up
from serving.problems import MEDIA_TYPE, Problem
from serving.runtime import Runtime

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
HotAnswer = Callable[[str, str], Awaitable[tuple[Headers, bytes]]]

LONGEST_SECONDS = 60
BODY_SECONDS = 10
METRICS_PATH = "/metrics"
ADMIN_PREFIX = "/admin/"
LARGEST_BODY_BYTES = 1024 * 1024
_PUBLIC = frozenset({"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"})
_BEARER = b"bearer "
_PLAIN_ID = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII).fullmatch


class HotRoute(NamedTuple):
    """A route that is answered here: its path as OpenAPI has it, and the answer by id and request id."""

    route: str
    answer: HotAnswer


class Service:
    """What the server runs. ``api`` is the FastAPI application behind it, ``runtime`` what both answer from."""

    def __init__(self, runtime: Runtime, api: FastAPI) -> None:
        self.runtime = runtime
        self.api = api
        self._hot = _hot_routes(runtime)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = self.runtime.next_request_id()
        try:
            hot, entity_id = self._hot_route(scope)
            if hot is None:
                match_by_segments(scope)
            operators = hot is None and _for_operators(scope["path"])
            self._admit(scope, operators=operators)
            if hot is None:
                route, status = await self._ask_framework(scope, receive, send, request_id, operators=operators)
            else:
                headers, body = await hot.answer(entity_id, request_id)
                route, status = hot.route, 200
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
        except Problem as problem:
            await _send_problem(send, problem, request_id)
            route, status = "refused", problem.status
        self.runtime.metrics.answered(route, status, time.perf_counter() - started)

    def _hot_route(self, scope: Scope) -> tuple[HotRoute | None, str]:
        """The hot route that a request asks, and the id; None for any other request."""
        prefix, _, last = scope["path"].rpartition("/")
        hot = self._hot.get(prefix)
        if hot is None or scope["method"] != "GET" or scope["query_string"] or _PLAIN_ID(last) is None:
            return None, ""
        return hot, last

    def _admit(self, scope: Scope, *, operators: bool) -> None:
        """Raises a 503 under overload, a 401 or 403 for a caller who may not."""
        if not operators:
            self.runtime.overload.arrive()
            if self.runtime.overload.shedding:
                raise too_much()
        keys = self.runtime.keys
        admin = operators and scope["path"].startswith(ADMIN_PREFIX)
        if admin or (keys.required and scope["path"] not in _PUBLIC):
            caller = keys.caller(_key(scope["headers"]))
            if caller is None:
                raise Problem(
                    401,
                    "key-required",
                    "give an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
                    headers={"www-authenticate": "Bearer"},
                )
            if admin and caller.scope != "admin":
                raise Problem(403, "admin-required", "this takes a key of the scope admin")

    async def _ask_framework(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, *, operators: bool
    ) -> tuple[str, int]:
        """Have the framework answer. Returns the route's path and the status.

        Raises:
            Problem: it was refused before the framework had it.
        """
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        overload = self.runtime.overload
        try:
            if operators:
                turn: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
            else:
                overload.refuse_hopeless()  # before its body costs anything
                turn = overload.turn()
            body = await _body(scope, receive)
            async with turn, asyncio.timeout(LONGEST_SECONDS):
                await self.api(scope, _again(body, receive), send_named)
        except Problem:
            raise
        except Exception as error:
            if status:
                raise
            if isinstance(error, TimeoutError):
                problem = Problem(503, "too-slow", f"there was no answer within {LONGEST_SECONDS} s")
            else:
                logger.exception("request failed", extra={"request_id": request_id})
                problem = Problem(500, "internal", "the service failed; its log has the reason under this request id")
            status = problem.status
            await _send_problem(send, problem, request_id)
        return getattr(scope.get("route"), "path", "unmatched"), status


def create_app(settings: PlatformSettings, use_cases: tuple[UseCase, ...] | None = None) -> Service:
    """The prediction service of these settings, for every declared use case or for the given ones."""
    runtime = Runtime(settings, all_use_cases() if use_cases is None else use_cases)
    return Service(runtime, build_api(runtime))


def _hot_routes(runtime: Runtime) -> dict[str, HotRoute]:
    """By the path in front of the id; for use cases whose ids are whole numbers, which need no decoding."""
    routes: dict[str, HotRoute] = {}
    for name, use_case in runtime.use_cases.items():
        if not ids_are_whole_numbers(use_case):
            continue
        features, predict = _features(runtime, name), _predict(runtime, name)
        prefixes = [f"/v1/{name}", *([""] if name == runtime.settings.serving_default_use_case else [])]
        for prefix in prefixes:
            routes[f"{prefix}/features"] = HotRoute(f"{prefix}/features/{{id}}", features)
            routes[f"{prefix}/predict"] = HotRoute(f"{prefix}/predict/{{id}}", predict)
    return routes


def _features(runtime: Runtime, name: str) -> HotAnswer:
    async def features(entity_id: str, request_id: str) -> tuple[Headers, bytes]:
        source, body = answers.features(runtime.served[name], entity_id.encode())
        headers = _json_headers(body, request_id)
        headers += [(key.encode(), value.encode()) for key, value in source.items()]
        return headers, body

    return features


def _predict(runtime: Runtime, name: str) -> HotAnswer:
    async def predict(entity_id: str, request_id: str) -> tuple[Headers, bytes]:
        served = runtime.served[name]
        body = await runtime.predictor.answer_one(served, look_up(served, entity_id), request_id)
        return _json_headers(body, request_id), body

    return predict


def _json_headers(body: bytes, request_id: str) -> Headers:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]


def _key(headers: Headers) -> str | None:
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin-1")
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].decode("latin-1").strip()
    return None


def _for_operators(path: str) -> bool:
    """What is asked in order to see or to mend an overload is answered in spite of it."""
    return path in _PUBLIC or path == METRICS_PATH or path.startswith(ADMIN_PREFIX)


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The whole body, of which no more is read than is allowed, whatever its length claims to be.

    It is read before the request has its turn, so that a slow sender keeps nobody waiting but itself.

    Raises:
        Problem: 413, or 408 where it does not come in time.
    """
    too_large = Problem(413, "body-too-large", f"a body of at most {LARGEST_BODY_BYTES} bytes is taken")
    claimed = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if claimed.isdigit() and int(claimed) > LARGEST_BODY_BYTES:
        raise too_large
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(400, "body-incomplete", "the connection was closed within the body")
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_BODY_BYTES:
                    raise too_large
    except TimeoutError:
        raise Problem(408, "body-too-slow", f"the body did not come within {BODY_SECONDS} s") from None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already; then whatever else comes."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _send_problem(send: Send, problem: Problem, request_id: str) -> None:
    body = problem.body(request_id)
    headers = [(b"content-type", MEDIA_TYPE.encode()), *_json_headers(body, request_id)[1:]]
    headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
