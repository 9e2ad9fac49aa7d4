"""A request that fails in a way nobody foresaw gets a problem document all the same, and is counted."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
import orjson
import pytest

from mlops_platform.settings import PlatformSettings
from serving.api.gate import Service
from tests.serving.conftest import Serve

pytestmark = pytest.mark.anyio

Message = MutableMapping[str, Any]
INTERNAL = "the service failed; its log has the reason under this request id"


def failing(error: BaseException) -> Any:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


async def counted(client: httpx.AsyncClient, route: str, status: int) -> float:
    """How many answers of this kind the metrics have."""
    page = (await client.get("/metrics")).text
    start = f'serving_request_seconds_count{{route="{route}",status="{status}"}} '
    return sum(float(line.removeprefix(start)) for line in page.splitlines() if line.startswith(start))


@pytest.mark.parametrize("error", [RuntimeError("a secret"), asyncio.CancelledError(), TimeoutError()])
@pytest.mark.parametrize(
    "asked",
    [
        ("GET", "/predict/5008804", "/predict/{id}", "answer_one"),
        ("GET", "/predict/5008804?source=online", "/predict/{id}", "answer_one"),
        ("POST", "/predict", "/predict", "answer_body"),
        ("POST", "/v2/models/credit_risk/infer", "/v2/models/{name}/infer", "predict"),
    ],
)
async def test_a_handler_that_fails(
    serve: Serve,
    installation: PlatformSettings,
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[str, str, str, str],
    error: BaseException,
) -> None:
    method, path, route, broken = asked
    tensor = {"name": "id", "shape": [1], "datatype": "BYTES", "data": ["5008804"]}
    body: dict[str, Any] = {"id": "5008804"} if path == "/predict" else {"inputs": [tensor]}
    async with serve(installation) as (client, service):
        monkeypatch.setattr(service.runtime.predictor, broken, failing(error))
        answer = await client.request(method, path, json=body if method == "POST" else None)
        assert await counted(client, route, 500) == 1
    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (found["type"], found["detail"]) == ("urn:mlops:problem:internal", INTERNAL)
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found.get("error") == (INTERNAL if path.startswith("/v2") else None)


async def test_a_gate_that_fails(serve: Serve, installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def admit() -> None:
        raise RuntimeError("a secret")

    async with serve(installation) as (client, service):
        monkeypatch.setattr(service.overload, "admit", admit)
        hot = await client.get("/features/5008804")
        other = await client.head("/v1/credit_risk/model")
        assert await counted(client, "/features/{id}", 500) == 1
        assert await counted(client, "unmatched", 500) == 1
    assert (hot.status_code, hot.json()["detail"]) == (500, INTERNAL)
    assert (other.status_code, other.headers["content-type"], other.content) == (500, "application/problem+json", b"")


async def test_an_answer_that_takes_too_long(
    serve: Serve, installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    monkeypatch.setattr("serving.api.gate.LONGEST_SECONDS", 0.05)
    async with serve(installation) as (client, service):
        monkeypatch.setattr(service.runtime.predictor, "answer_body", never)
        answer = await client.post("/predict", json={"id": "5008804"})
        assert await counted(client, "/predict", 503) == 1
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mlops:problem:too-slow")


def scope_of(path: str) -> dict[str, Any]:
    headers = [(b"host", b"localhost")]
    return {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}


async def nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


@pytest.mark.parametrize("path", ["/features/5008804", "/v1/credit_risk/model"])
@pytest.mark.parametrize("lost", ["http.response.start", "http.response.body"])
async def test_an_answer_that_cannot_be_sent_is_counted_and_breaks_the_connection(
    serve: Serve, installation: PlatformSettings, path: str, lost: str
) -> None:
    async def send(message: Message) -> None:
        if message["type"] == lost:
            raise OSError("the connection is gone")

    route = "/features/{id}" if path.startswith("/features") else path
    async with serve(installation) as (client, service):
        with pytest.raises(OSError, match="the connection is gone"):
            await service(scope_of(path), nothing, send)
        assert await counted(client, route, 500) == 1


async def test_a_request_that_is_cancelled_ends_with_a_problem_and_is_counted(
    serve: Serve, installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Message] = []
    under_way = asyncio.Event()

    async def send(message: Message) -> None:
        sent.append(message)

    async def wait(*_: Any, **__: Any) -> bytes:
        under_way.set()
        await asyncio.Event().wait()
        return b""

    async def ask(service: Service) -> None:
        await service(scope_of("/predict/5008804"), nothing, send)

    async with serve(installation) as (client, service):
        monkeypatch.setattr(service.runtime.predictor, "answer_one", wait)
        request = asyncio.create_task(ask(service))
        await under_way.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert await counted(client, "/predict/{id}", 500) == 1
    assert [message.get("status") for message in sent] == [500, None]
    assert orjson.loads(sent[1]["body"])["detail"] == INTERNAL
