"""Lookups that come while Redis is asked are asked for together; each gets its own answer, whatever others get."""

import asyncio
import contextlib
import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.online_store.embedded import EmbeddedStore, build
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.online_store.redis_first import RedisFirst

pytestmark = pytest.mark.anyio

IDS = [str(number).encode() for number in range(1, 7)]


class SlowRedis:
    """Stands in for ``RedisStore``: answers once it may, and notes what it was asked for at once."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []
        self.may_answer = threading.Event()
        self.error: Exception | None = None

    def get_raw_many(self, entity_ids: Sequence[bytes]) -> list[bytes | None]:
        self.asked.append(list(entity_ids))
        assert self.may_answer.wait(30)
        if self.error is not None:
            raise self.error
        return [b"redis " + entity_id for entity_id in entity_ids]

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[EmbeddedStore]:
    rows = [FeatureRow(entity_id.decode(), dt.date(2020, 1, 2), {"age": 1}) for entity_id in IDS]
    build(tmp_path / "store.lmdb", rows)
    with contextlib.closing(EmbeddedStore(tmp_path / "store.lmdb", "first")) as store:
        yield store


@pytest.fixture
def redis() -> SlowRedis:
    return SlowRedis()


@pytest.fixture
def store(file: EmbeddedStore, redis: SlowRedis) -> RedisFirst:
    return RedisFirst(file, lambda: cast(Any, redis))


async def under_way(store: RedisFirst, redis: SlowRedis, *lookups: list[bytes]) -> list[asyncio.Task[Any]]:
    """The lookups, of which the first has reached Redis and the others wait."""
    first = asyncio.create_task(store.get_raw_many(lookups[0]))
    while not redis.asked:
        await asyncio.sleep(0.001)
    return [first, *(asyncio.create_task(store.get_raw_many(ids)) for ids in lookups[1:])]


async def test_what_waits_is_asked_for_together(store: RedisFirst, redis: SlowRedis) -> None:
    tasks = await under_way(store, redis, IDS[:1], IDS[1:3], [], IDS[3:])
    await asyncio.sleep(0)  # each of them is in the row
    redis.may_answer.set()
    found = await asyncio.gather(*tasks)
    assert redis.asked == [IDS[:1], IDS[1:]]
    assert found == [[b"redis " + entity_id for entity_id in ids] for ids in (IDS[:1], IDS[1:3], [], IDS[3:])]


async def test_no_more_is_asked_for_at_once_than_a_command_may(
    store: RedisFirst, redis: SlowRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_platform.online_store.redis_first._IDS_AT_ONCE", 2)
    tasks = await under_way(store, redis, IDS[:1], IDS[1:2], IDS[2:3], IDS[3:])
    await asyncio.sleep(0)
    redis.may_answer.set()
    await asyncio.gather(*tasks)
    assert redis.asked == [IDS[:1], IDS[1:3], IDS[3:]]


async def test_a_caller_that_goes_leaves_the_others_their_answers(store: RedisFirst, redis: SlowRedis) -> None:
    first, second, third = await under_way(store, redis, IDS[:1], IDS[1:2], IDS[2:3])
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    redis.may_answer.set()
    assert await third == [b"redis 3"]


async def test_where_redis_fails_all_that_wait_get_the_files_rows(
    store: RedisFirst, redis: SlowRedis, file: EmbeddedStore
) -> None:
    redis.error = PlatformError("it does not answer", remedy="see to it")
    tasks = await under_way(store, redis, IDS[:1], IDS[1:])
    redis.may_answer.set()
    assert await asyncio.gather(*tasks) == [file.get_raw_many(IDS[:1]), file.get_raw_many(IDS[1:])]
    assert (store.refused, redis.asked) == ("it does not answer. Remedy: see to it", [IDS[:1]])


async def test_a_failure_nobody_foresaw_is_each_callers_own_and_ends_nothing(
    store: RedisFirst, redis: SlowRedis
) -> None:
    redis.error = ZeroDivisionError()
    (task,) = await under_way(store, redis, IDS[:1])
    redis.may_answer.set()
    with pytest.raises(ZeroDivisionError):
        await task
    redis.error = None
    assert await store.get_raw_many(IDS[:1]) == [b"redis 1"]
