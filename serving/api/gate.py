"""The ASGI application: a gate in front of the FastAPI routes, and the hot routes answered in the gate.

The gate names the request, checks by which name and with which key it is asked, bounds the body and has requests take
turns. A caller without a right to an answer is refused first, and is no load that others are refused for. Every answer
is counted, and of those that fail the gate is the last resort: whatever happens, the caller gets a problem document, or
a broken connection where half of another answer is out already.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

from starlette.types import Receive, Scope, Send

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from mlops_platform.use_case.spec import UseCase
from serving.api.access import for_operators, identify, scope_asked_for
from serving.api.errors import problem_of
from serving.api.gateway import keyless_address
from serving.api.hosts import AllowedHosts
from serving.api.hot import HotRoutes
from serving.api.keys import ApiKeys
from serving.api.overload import Overload
from serving.api.protocols.sagemaker import LARGEST_INVOCATION_BYTES, is_invocation
from serving.api.reply import Reply
from serving.api.request_body import given_again, read_body
from serving.api.routes import build_api
from serving.api.segments import match_by_segments
from serving.problems import Problem
from serving.runtime import Runtime

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 60
LARGEST_BODY_BYTES = 1024 * 1024
# what the metrics call the route of a request that was refused before a route had it, and of one that no route takes
_REFUSED = "refused"
_UNMATCHED = "unmatched"


class Service:
    """What the server runs. ``api`` is the FastAPI application behind it, ``runtime`` what both answer from."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.keys = ApiKeys(runtime.settings, runtime.paths.api_keys)
        self.hosts = AllowedHosts(runtime.settings)
        self._keyless = keyless_address(runtime.settings)
        self.overload = Overload()
        self.api = build_api(runtime, self.keys, lifespan=lambda _: self.running())
        self._hot = HotRoutes(runtime)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this lasts requests can be answered."""
        async with self.runtime.running():
            tasks = [asyncio.create_task(self.overload.watch()), asyncio.create_task(self.keys.following.run())]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = self.runtime.next_request_id()
        hot, entity_id = self._hot.match(scope)
        # the hot routes do without
        reply = None if hot else Reply(send, request_id, head_only=scope["method"] == "HEAD")
        route, status = _REFUSED, 500
        try:
            self.hosts.check(scope)
            if hot:
                if self._asks_for_keys(scope):
                    identify(self.keys, scope["headers"], "read")
                self.overload.admit()
                headers, body = await hot.answer(entity_id, request_id)
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                route, status = hot.path, 200
            elif reply:
                await self._ask_framework(scope, receive, reply)
                route, status = _route(scope, _UNMATCHED), reply.status
        except Problem as problem:
            route, status = _route(scope, _REFUSED), problem.status
            await (reply or Reply(send, request_id)).send_problem(problem_of(problem, scope["path"]))
        except BaseException as error:
            route = hot.path if hot else _route(scope, _UNMATCHED)
            await _last_resort(reply or Reply(send, request_id), error, scope["path"])
        finally:
            self.runtime.metrics.answered(route, status, time.perf_counter() - started)

    def _asks_for_keys(self, scope: Scope) -> bool:
        return self.keys.required and (self._keyless is None or scope["client"][0] != self._keyless)

    async def _ask_framework(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Have the framework answer.

        Raises:
            Problem: it was refused before the framework had it, or took too long.
        """
        match_by_segments(scope)
        asked_for = scope_asked_for(scope["path"], keys_required=self._asks_for_keys(scope))
        caller = identify(self.keys, scope["headers"], asked_for)
        operators = for_operators(scope["path"])
        if not operators:
            self.overload.admit()
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        scope.setdefault("state", {}).update(request_id=reply.request_id, caller=caller)
        if operators:
            turn: contextlib.AbstractAsyncContextManager[None] = contextlib.nullcontext()
        else:
            self.overload.refuse_hopeless()  # before its body costs anything
            turn = self.overload.turn()
        largest = LARGEST_INVOCATION_BYTES if is_invocation(scope["path"]) else LARGEST_BODY_BYTES
        body = await read_body(scope, receive, largest)
        limit = asyncio.timeout(LONGEST_SECONDS)
        try:
            async with turn, limit:
                await self.api(scope, given_again(body, receive), reply.send)
        except TimeoutError:
            if reply.status or not limit.expired():
                raise
            raise Problem(503, "too-slow", f"there was no answer within {LONGEST_SECONDS} s") from None


def create_app(settings: PlatformSettings, use_cases: tuple[UseCase, ...] | None = None) -> Service:
    """The prediction service of these settings, for every declared use case or for the given ones."""
    return Service(Runtime(settings, all_use_cases() if use_cases is None else use_cases))


async def _last_resort(reply: Reply, error: BaseException, path: str) -> None:
    """Answer a request that failed in a way nobody foresaw.

    Where half of an answer is out, or somebody ended the request, the error goes on to the server, which breaks the
    connection.
    """
    logger.error("request failed", exc_info=error, extra={"request_id": reply.request_id})
    if not reply.status:
        with contextlib.suppress(Exception):  # nothing can be sent any more; then it is not whole either
            await reply.send_problem(problem_of(error, path))
    task = asyncio.current_task()
    ended = (task is not None and task.cancelling() > 0) or isinstance(error, KeyboardInterrupt | SystemExit)
    if ended or not reply.whole:
        raise error


def _route(scope: Scope, without: str) -> str:
    """The path of the framework's route that has the request, as OpenAPI has it."""
    return getattr(scope.get("route"), "path", without)
