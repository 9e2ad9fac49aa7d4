"""Lookups from a real Redis, and what answers while it does not."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from mlops_platform.online_store import redis_first
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.online_store.redis_first import RedisFirst
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.processes import wait_until
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.serving.conftest import ADMIN, Serve, Trained
from tests.serving.installation import ROWS, keep_model, publish_snapshot

pytestmark = pytest.mark.anyio

ENTITY = "5008804"
IN_REDIS = '{"age":32,"years_on_the_job":12,"nb_previous_loans":9,"avg_amount_loans_previous":153.12,"flag_own_car":1}'
IN_FILE = '{"age":31,"years_on_the_job":12,"nb_previous_loans":9,"avg_amount_loans_previous":153.12,"flag_own_car":1}'
PATIENCE_SECONDS = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def with_redis(
    settings: PlatformSettings, server: RedisServer, credit_risk: UseCase, forest: Trained
) -> PlatformSettings:
    """An installation whose published snapshot is in Redis too, where one row was changed to tell the two apart."""
    settings = settings.model_copy(update={"online_store_url": SecretStr(server.url)})
    publish_snapshot(settings, credit_risk, "first")
    change_a_row(server)
    keep_model(settings, "credit_risk", "1", forest.folder, alias="champion")
    return settings


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is asked again at every poll, and given time to answer on a machine that is busy."""
    monkeypatch.setattr(redis_first, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr("mlops_platform.online_store.redis.LOOKUP_SECONDS", 5.0)


def change_a_row(server: RedisServer) -> None:
    with server.client as client:
        (key,) = client.keys("mlops:credit_risk:first:*")
        client.hset(key, ENTITY, f'{{"feature_date":"2020-11-02","features":{IN_REDIS}}}')


async def features(client: httpx.AsyncClient) -> str:
    answer = await client.get(f"/features/{ENTITY}")
    assert (answer.status_code, answer.headers["x-snapshot"]) == (200, "first")
    return answer.text


async def refused(client: httpx.AsyncClient) -> str | None:
    ready = await client.get("/readyz", headers=ADMIN)
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    found: str | None = ready.json()["use_cases"]["credit_risk"]["redis_refused"]
    return found


async def eventually(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, PATIENCE_SECONDS)


@pytest.mark.usefixtures("patient")
async def test_lookups_are_answered_from_redis(serve: Serve, with_redis: PlatformSettings) -> None:
    async with serve(with_redis) as (client, _):
        assert await features(client) == IN_REDIS
        batch = (await client.post("/v1/credit_risk/features:batch", json={"ids": ["5008805", "1", ENTITY]})).json()
        missing = await client.get("/features/1")
        prediction = (await client.get("/predict/5008805")).json()
        explained = await client.get("/v1/credit_risk/explain/5008805")
        assert await refused(client) is None
    assert [row["features"] for row in batch["rows"]] == [ROWS[1].features, None, ROWS[0].features | {"age": 32}]
    assert (missing.status_code, missing.json()["detail"]) == (
        404,
        "credit_risk has no features for id 1 in snapshot first",
    )
    assert (prediction["snapshot"], prediction["feature_date"]) == ("first", "2019-02-28")
    assert explained.status_code == 200


@pytest.mark.usefixtures("patient")
async def test_while_redis_is_away_the_file_answers_and_then_redis_again(
    serve: Serve, with_redis: PlatformSettings, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(with_redis) as (client, service):
        assert await features(client) == IN_REDIS
        key, rows = held(server)
        server.stop()
        with caplog.at_level(logging.WARNING):
            assert [await features(client) for _ in range(5)] == [IN_FILE] * 5
        reason = await refused(client)
        server.start()
        with server.client as client_of_redis:
            client_of_redis.hset(key, mapping=rows)
        store = service.runtime.served["credit_risk"].store
        assert isinstance(store, RedisFirst)
        await eventually(lambda: store.refused is None, "Redis is used again")
        assert await features(client) == IN_REDIS
        assert await refused(client) is None
    assert reason is not None
    assert reason.startswith(f"Redis at 127.0.0.1:{server.port} did not answer (ConnectionError). Remedy: see that it ")
    told = next(record.message for record in caplog.records if record.name == "mlops_platform.online_store.redis_first")
    assert told == "lookups are answered from the embedded store, not from Redis"
    assert PASSWORD not in caplog.text + reason


def held(server: RedisServer) -> tuple[bytes, dict[bytes, bytes]]:
    with server.client as client:
        (key,) = client.keys("mlops:credit_risk:*")
        return key, client.hgetall(key)


async def test_a_redis_that_hangs_costs_one_lookup_its_deadline(
    serve: Serve, with_redis: PlatformSettings, server: RedisServer
) -> None:
    async with serve(with_redis) as (client, _):
        with server.paused():
            await features(client)  # waits for the deadline, unless a busy machine made it the file before
            started = time.monotonic()
            assert [await features(client) for _ in range(5)] == [IN_FILE] * 5
            assert time.monotonic() - started < 5 * 0.25
            assert "did not answer (TimeoutError)" in str(await refused(client))


async def test_everything_else_is_answered_while_redis_is_waited_for(
    serve: Serve, with_redis: PlatformSettings, server: RedisServer
) -> None:
    async with serve(with_redis) as (client, _):
        assert await features(client) == IN_REDIS
        with server.paused():
            waiting = asyncio.create_task(features(client))
            for _ in range(3):
                assert (await client.get("/healthz")).status_code == 200
            assert not waiting.done()
            assert await waiting == IN_FILE


@pytest.mark.usefixtures("patient")
async def test_a_snapshot_that_redis_does_not_hold_is_never_a_miss(
    serve: Serve, with_redis: PlatformSettings, server: RedisServer
) -> None:
    async with serve(with_redis) as (client, _):
        with server.client as client_of_redis:
            client_of_redis.flushall()
        assert await features(client) == IN_FILE
        assert "does not hold the rows of snapshot first, or not all of them" in str(await refused(client))


async def test_a_service_starts_without_redis(serve: Serve, with_redis: PlatformSettings, server: RedisServer) -> None:
    server.stop()
    async with serve(with_redis) as (client, _):
        assert await features(client) == IN_FILE
        assert "did not answer (ConnectionError)" in str(await refused(client))


@pytest.mark.usefixtures("patient")
async def test_a_new_snapshot_is_followed_in_redis(
    serve: Serve, with_redis: PlatformSettings, credit_risk: UseCase
) -> None:
    moved = [FeatureRow(row.entity_id, row.feature_date, {**row.features, "age": 99}) for row in ROWS]
    async with serve(with_redis) as (client, service):
        publish_snapshot(with_redis, credit_risk, "second", moved)
        served = service.runtime.served
        await eventually(lambda: served["credit_risk"].snapshot_id == "second", "the snapshot is followed")
        answer = await client.get(f"/features/{ENTITY}")
        assert (answer.json(), answer.headers["x-snapshot"]) == (moved[0].features, "second")
        assert await refused(client) is None


async def test_without_the_setting_the_embedded_store_is_asked_itself(
    serve: Serve, installation: PlatformSettings
) -> None:
    async with serve(installation) as (client, service):
        assert type(service.runtime.served["credit_risk"].store).__name__ == "EmbeddedStore"
        assert await refused(client) is None
