"""Ten times what the service can do: who is served is served in time, the others are told so, and it passes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import psutil
import pytest

from mlops_platform.settings import PlatformSettings
from serving.api.overload import LATE_SECONDS, TURNS_AT_ONCE, Overload
from serving.problems import Problem
from tests.processes import free_port
from tests.serving.installation import ROWS
from tests.serving.processes import service_process

pytestmark = pytest.mark.anyio

ROWS_OF_A_BATCH = 1_000
ROUNDS = 6
RETRY_AFTER = 1
BATCH = json.dumps({"ids": [ROWS[0].entity_id] * ROWS_OF_A_BATCH}).encode()


@dataclass(frozen=True)
class Answer:
    """``seconds`` is from the request's last byte to the whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


async def ask(settings: PlatformSettings, method: str, path: str, body: bytes = b"") -> Answer:
    """One request on a connection of its own: as cheap as can be, for the load must not be the bottleneck."""
    reader, writer = await asyncio.open_connection(settings.serving_host, settings.serving_port)
    try:
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        started = time.monotonic()
        answered, _, content = (await reader.read(-1)).partition(b"\r\n\r\n")
        status, *lines = answered.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        return Answer(int(status.split()[1]), headers, content, time.monotonic() - started)
    finally:
        writer.close()


@pytest.fixture
async def service(installation: PlatformSettings) -> AsyncIterator[tuple[PlatformSettings, psutil.Process]]:
    """A running service, and its only worker."""
    changes = {"serving_port": free_port(), "serving_batch_limit": ROWS_OF_A_BATCH}
    settings = installation.model_copy(update=changes)
    settings.model_fields_set.update(changes)
    with service_process(settings) as server:
        (worker,) = psutil.Process(server.pid).children()
        yield settings, worker


async def test_ten_fold_overload_is_refused_in_time_and_passes(
    service: tuple[PlatformSettings, psutil.Process],
) -> None:
    settings, worker = service
    one_by_one = [await ask(settings, "POST", "/predict", BATCH) for _ in range(9)]
    assert {answer.status for answer in one_by_one} == {200}
    # the fastest: others may use the machine just now, and leave it alone afterwards
    alone = min(answer.seconds for answer in one_by_one)
    # more than ten times what can be answered within the limit
    at_once = min(900, max(400, round(16 * LATE_SECONDS / alone)))

    async def herd() -> list[Answer]:
        return await asyncio.gather(*(ask(settings, "POST", "/predict", BATCH) for _ in range(at_once)))

    memory: list[int] = []
    for _ in range(ROUNDS):
        answers, looked = await asyncio.gather(
            herd(), asyncio.gather(*(ask(settings, "GET", path) for path in ("/healthz", "/readyz", "/metrics")))
        )
        assert [answer.status for answer in looked] == [200, 200, 200]
        memory.append(worker.memory_info().rss)
        served = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status != 200]
        assert all(len(json.loads(answer.body)["predictions"]) == ROWS_OF_A_BATCH for answer in served)
        assert {answer.status for answer in refused} == {503}
        assert {answer.headers["retry-after"] for answer in refused} == {str(RETRY_AFTER)}
        assert {answer.headers["content-type"] for answer in refused} == {"application/problem+json"}
        assert {json.loads(answer.body)["type"] for answer in refused} == {"urn:mlops:problem:overloaded"}
        assert 0 < len(served) < len(refused)
        await asyncio.sleep(RETRY_AFTER)  # as a client does that was refused
        for path in ("/predict/5008804", "/features/5008804", "/v1/credit_risk/explain/5008804"):
            assert [(await ask(settings, "GET", path)).status for _ in range(10)] == [200] * 10
        assert (await ask(settings, "POST", "/predict", BATCH)).status == 200
    assert memory[-1] < 1.3 * memory[ROUNDS // 2]


class Clock:
    """A time that passes only where a test lets it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("serving.api.overload.time", clock)
    return clock


@pytest.mark.parametrize(("requests", "shedding"), [(TURNS_AT_ONCE, False), (TURNS_AT_ONCE + 1, True)])
async def test_a_late_loop_refuses_only_where_many_requests_made_it_late(
    clock: Clock, requests: int, shedding: bool
) -> None:
    overload = Overload()
    beating = asyncio.create_task(overload.watch())
    await asyncio.sleep(0)
    for _ in range(requests):
        overload.admit()
    clock.now += 2 * LATE_SECONDS
    await next_beat(overload)
    assert overload.shedding is shedding
    with pytest.raises(Problem) if shedding else contextlib.nullcontext():
        overload.admit()
    await next_beat(overload)
    assert overload.shedding is False
    beating.cancel()


async def next_beat(overload: Overload) -> None:
    """Until a beat has counted the requests."""
    while overload.arrived:
        await asyncio.sleep(0)


async def take(overload: Overload, clock: Clock, seconds: float) -> str:
    """Have a turn that takes so long, if there is one to be had. Returns how it went, and when."""
    asked = clock.now
    try:
        async with overload.turn():
            waited = clock.now - asked
            clock.now += seconds
            return f"served after {waited:.2f}"
    except Problem as refusal:
        return f"refused with {refusal.status} after {clock.now - asked:.2f}"


async def test_nobody_is_served_who_waited_longer_than_the_limit(clock: Clock) -> None:
    overload = Overload()
    went = await asyncio.gather(*(take(overload, clock, 0.1) for _ in range(3 * TURNS_AT_ONCE)))
    assert went == [
        *("served after 0.00", "served after 0.10", "served after 0.20"),
        *["refused with 503 after 0.30"] * (3 * TURNS_AT_ONCE - 3),
    ]
    assert [await take(overload, clock, 0.1) for _ in range(3)] == ["served after 0.00"] * 3


@pytest.mark.parametrize(("waiting", "hopeless"), [(12, False), (13, True)])
async def test_who_would_wait_too_long_is_refused_at_once(clock: Clock, waiting: int, hopeless: bool) -> None:
    overload = Overload()

    async def look() -> str:
        async with overload.turn():
            with contextlib.suppress(Problem):
                overload.refuse_hopeless()
                return "not refused"
            return "refused"

    turns = [take(overload, clock, 0.02) for _ in range(2)] + [look()]
    turns += [take(overload, clock, 0.02) for _ in range(waiting)]
    went = await asyncio.gather(*turns)
    assert went[:3] == ["served after 0.00", "served after 0.02", "refused" if hopeless else "not refused"]
    overload.refuse_hopeless()  # and it is over once nobody waits
