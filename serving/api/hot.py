"""The hot routes: a plain GET for the features or the prediction of an id, answered without the framework.

They answer by the functions that the framework's routes call, too. A miss, an error, a query or anything unusual is not
theirs, so that there is one definition of every other answer.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.types import Scope

from mlops_platform.use_case.ids import ids_are_whole_numbers
from mlops_platform.use_case.short_paths import ByIdPath
from serving.api import lookups
from serving.predict.predictor import look_up
from serving.runtime import Runtime

Answer = Callable[[str, str], Awaitable[tuple[lookups.Headers, bytes]]]

_PLAIN_ID = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII).fullmatch


class HotRoute(NamedTuple):
    """A route's path as OpenAPI has it, and its answer by id and request id."""

    path: str
    answer: Answer


class HotRoutes:
    """Of the use cases whose ids are whole numbers, which need no decoding."""

    def __init__(self, runtime: Runtime) -> None:
        self._by_prefix: dict[str, HotRoute] = {}
        for name, use_case in runtime.use_cases.items():
            if not ids_are_whole_numbers(use_case):
                continue
            answers = {"features": _features(runtime, name), "prediction": _predict(runtime, name)}
            paths = [(f"/v1/{name}/features", "features"), (f"/v1/{name}/predict", "prediction")]
            paths += [(short.path, short.answers) for short in use_case.short_paths if isinstance(short, ByIdPath)]
            for path, what in paths:
                self._by_prefix[path] = HotRoute(f"{path}/{{id}}", answers[what])

    def match(self, scope: Scope) -> tuple[HotRoute | None, str]:
        """The hot route that a request asks, and the id; None for any other request."""
        prefix, _, last = scope["path"].rpartition("/")
        hot = self._by_prefix.get(prefix)
        if hot is None or scope["method"] != "GET" or scope["query_string"] or _PLAIN_ID(last) is None:
            return None, ""
        return hot, last


def _features(runtime: Runtime, name: str) -> Answer:
    async def features(entity_id: str, request_id: str) -> tuple[lookups.Headers, bytes]:
        source, body = await lookups.features(runtime.served[name], entity_id.encode())
        return _json_headers(body, request_id) + source, body

    return features


def _predict(runtime: Runtime, name: str) -> Answer:
    async def predict(entity_id: str, request_id: str) -> tuple[lookups.Headers, bytes]:
        served = runtime.served[name]
        body = await runtime.predictor.answer_one(served, await look_up(served, entity_id), request_id)
        return _json_headers(body, request_id), body

    return predict


def _json_headers(body: bytes, request_id: str) -> lookups.Headers:
    return [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
