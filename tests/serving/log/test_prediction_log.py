"""Every prediction is kept: within the bound, through a kill, a full disk and a restart, and as rows of a table."""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from mlops_platform.settings import PlatformSettings
from serving.log.prediction_log import PredictionLog
from serving.log.publish import publish
from serving.log.publisher import Publisher
from serving.log.queue import LogPolicy, Reservation
from serving.log.search import find
from serving.log.segment import Segment, close_abandoned, read_lines
from serving.paths import serving_paths
from serving.problems import Problem
from tests.processes import free_port, wait_until
from tests.serving.conftest import ADMIN, Serve
from tests.serving.log.disk import files_limited_to
from tests.serving.processes import service_process

LINE = b'{"request_id":"a"}\n'


def records_in(segment: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_lines(segment)]


def segments(folder: Path) -> list[dict[str, Any]]:
    return [record for path in sorted(folder.glob("*.*")) for record in records_in(path)]


def log_in(folder: Path, publisher: Publisher | None = None, **policy: Any) -> PredictionLog:
    return PredictionLog(folder, LogPolicy(**{"bound_seconds": 0.05, **policy}), publisher)


@asynccontextmanager
async def running(log: PredictionLog) -> AsyncIterator[PredictionLog]:
    log.start()
    try:
        yield log
    finally:
        await log.stop()


def record(log: PredictionLog, records: int = 1) -> Reservation:
    with log.reserve(records) as reservation:
        reservation.lines += [LINE] * records
    return reservation


async def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    await asyncio.to_thread(wait_until, condition, what, seconds)


@pytest.mark.anyio
@pytest.mark.parametrize("bound", [0.0, 0.1])
async def test_records_are_on_disk_within_the_bound(tmp_path: Path, bound: float) -> None:
    async with running(log_in(tmp_path, bound_seconds=bound)) as log:
        await record(log, 2).on_disk()
        if bound:
            await until(lambda: log.queued == 0, "written")
        assert segments(tmp_path) == [{"request_id": "a"}, {"request_id": "a"}]
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]


def test_a_full_queue_refuses_or_drops_as_it_was_told(tmp_path: Path) -> None:
    refusing = log_in(tmp_path, queue_limit=2)
    record(refusing, 2)
    with pytest.raises(Problem, match="the prediction log cannot take more records now") as refused:
        refusing.reserve(1)
    assert refused.value.status == 503
    dropping = log_in(tmp_path, queue_limit=2, overflow="drop")
    record(dropping, 2)
    record(dropping)
    assert (dropping.queued, dropping.dropped) == (2, 1)


def test_an_answer_that_fails_leaves_no_record_and_no_room_taken(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    with contextlib.suppress(ZeroDivisionError), log.reserve(2) as reservation:
        reservation.lines.append(LINE)
        raise ZeroDivisionError
    assert (log.queued, log.dropped) == (0, 0)


@pytest.mark.anyio
@pytest.mark.parametrize(("overflow", "status", "dropped"), [("refuse", 503, 0), ("drop", 200, 2)])
async def test_a_full_disk_leaves_no_request_waiting_for_its_record(
    serve: Serve, installation: PlatformSettings, overflow: str, status: int, dropped: int
) -> None:
    settings = installation.model_copy(
        update={"serving_log_bound_seconds": 0.0, "serving_log_queue": 100, "serving_log_overflow": overflow}
    )
    log = serving_paths(settings).log
    async with serve(settings) as (client, service), asyncio.timeout(30):
        with files_limited_to(10):
            answers = [await client.get("/predict/5008804") for _ in range(2)]
            await until(lambda: service.runtime.log.failure, "the failure is told")
            ready = (await client.get("/readyz", headers=ADMIN)).json()["prediction_log"]
        assert [answer.status_code for answer in answers] == [status, status]
        assert ready == {"queued": 0, "dropped": dropped, "failure": f"cannot write to {log}: File too large"}
        recorded = (await client.get("/predict/5008804")).json()["request_id"]
        await until(lambda: service.runtime.log.failure is None, "it is over")
        # what was answered by an error, or counted as dropped, is not written later
        assert [record["request_id"] for record in segments(log)] == [recorded]


@pytest.mark.anyio
async def test_a_log_folder_that_is_removed_is_made_again(serve: Serve, installation: PlatformSettings) -> None:
    settings = installation.model_copy(update={"serving_log_bound_seconds": 0.05, "serving_log_publish_seconds": 0.3})
    log = serving_paths(settings).log
    async with serve(settings) as (client, _):
        await client.get("/predict/5008804")
        await until(lambda: list(log.glob("*.open")), "a segment")
        shutil.rmtree(log)
        answered: list[str] = []

        def found() -> bool:
            return any(find(settings, request_id) for request_id in answered)

        for _ in range(100):
            answered.append((await client.get("/predict/5008804")).json()["request_id"])
            if await asyncio.to_thread(found):
                break
        assert found()
        await until(log.is_dir, "the folder")


@pytest.mark.anyio
async def test_a_failure_nobody_foresaw_is_told_and_the_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(log_in(tmp_path)) as log:
        with monkeypatch.context() as patched:

            def bug(*_: object) -> None:
                raise ZeroDivisionError

            patched.setattr("serving.log.writer.Segment.append", bug)
            record(log, 2)
            await until(lambda: log.failure, "the failure")
            assert (log.failure, log.queued) == (f"cannot write to {tmp_path}: ZeroDivisionError", 2)
            assert "ZeroDivisionError" in caplog.text
        await until(lambda: log.queued == 0, "written")
        assert (log.failure, len(segments(tmp_path))) == (None, 2)


@pytest.mark.anyio
async def test_a_publication_that_cannot_be_started_or_fails_is_told_and_records_are_still_written(
    tmp_path: Path,
) -> None:
    missing = Publisher(tmp_path, ["/no/such/program"], 60)
    async with running(log_in(tmp_path, missing, publish_seconds=0.05)) as log:
        record(log)
        await until(lambda: log.failure, "the failure")
        record(log)
        await until(lambda: len(segments(tmp_path)) == 2, "the next record")
        assert log.failure == "no publication of the prediction log can be started: No such file or directory"
    failing = Publisher(tmp_path, ["sh", "-c", f"test -e {tmp_path}/mended && rm -f {tmp_path}/*.jsonl"], 0.05)
    async with running(log_in(tmp_path, failing)) as log:
        await until(lambda: log.failure, "the failure")
        assert log.failure == "the last publication of the prediction log ended with status 1: its log says why"
        (tmp_path / "mended").touch()
        await until(lambda: log.failure is None, "tried again")
        assert segments(tmp_path) == []


@pytest.mark.anyio
async def test_the_last_segment_of_a_burst_is_published_without_another(tmp_path: Path) -> None:
    """It is closed while the publication of the one before is still under way."""
    log_folder, seen = tmp_path / "log", tmp_path / "seen"
    seen.mkdir()
    program = f"mv {log_folder}/*.jsonl {seen}; until test -e {tmp_path}/go; do sleep 0.05; done"
    publisher = Publisher(log_folder, ["sh", "-c", program], 0.2)
    async with running(log_in(log_folder, publisher, publish_seconds=0.05)) as log:
        record(log)
        await until(lambda: len(segments(seen)) == 1, "the first is taken")
        record(log)
        await until(lambda: list(log_folder.glob("*.jsonl")), "the last is closed")
        (tmp_path / "go").touch()
        await until(lambda: len(segments(seen)) == 2, "the last is taken")


@pytest.mark.anyio
async def test_stopping_on_a_full_disk_tries_for_a_while_and_says_what_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.log.writer.PATIENCE_SECONDS", 0.5)
    log = log_in(tmp_path)
    log.start()
    with files_limited_to(10):
        record(log, 2)
        async with asyncio.timeout(10):
            await log.stop()
    (lost,) = [one for one in caplog.records if "stopped before all was written" in one.message]
    assert vars(lost)["records"] == 2


@pytest.mark.anyio
async def test_stopping_writes_what_the_disk_takes_again(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.start()
    with files_limited_to(10):
        record(log, 2)
        await until(lambda: log.failure, "the failure")
        stopping = asyncio.create_task(log.stop())
        await asyncio.sleep(0)
    await stopping
    assert len(segments(tmp_path)) == 2


def test_a_segment_that_is_taken_for_abandoned_before_it_is_locked_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock
    publications = iter([close_abandoned])

    def slow(descriptor: int, operation: int) -> None:
        for publication in publications:
            publication(tmp_path)
        lock(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", slow)
    segment = Segment(tmp_path)
    segment.append(LINE)
    (open_one,) = tmp_path.glob("*.open")
    assert records_in(open_one) == [{"request_id": "a"}]
    assert [path.read_bytes() for path in tmp_path.glob("*.jsonl")] == [b""]


def test_closing_abandoned_segments_leaves_alone_what_its_worker_closes_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1-a.open").write_bytes(LINE)
    lock = fcntl.flock

    def closed_meanwhile(descriptor: int, operation: int) -> None:
        (tmp_path / "1-a.open").rename(tmp_path / "1-a.jsonl")
        lock(descriptor, operation)

    monkeypatch.setattr("fcntl.flock", closed_meanwhile)
    close_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["1-a.jsonl"]


@pytest.mark.anyio
async def test_a_full_disk_keeps_records_queued_and_whole_until_there_is_room(tmp_path: Path) -> None:
    async with running(log_in(tmp_path, queue_limit=100)) as log:
        with files_limited_to(len(LINE) * 2 + 5):
            record(log, 2)
            await until(lambda: log.queued == 0, "the first are written")
            record(log, 98)
            await until(lambda: log.failure, "the failure is seen")
            assert len(segments(tmp_path)) == 2
            record(log, 2)
            with pytest.raises(Problem):
                log.reserve(1)
        await until(lambda: log.queued == 0, "written")
        assert (log.failure, log.dropped, len(segments(tmp_path))) == (None, 0, 102)


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "1-a.open"
    path.write_bytes(LINE + LINE[:5])
    close_abandoned(tmp_path)
    assert records_in(tmp_path / "1-a.jsonl") == [{"request_id": "a"}]


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_answered_predictions_survive_a_kill_under_load(installation: PlatformSettings, bound: float) -> None:
    settings = installation.model_copy(update={"serving_port": free_port(), "serving_log_bound_seconds": bound})
    settings.model_fields_set.update({"serving_port", "serving_log_bound_seconds"})
    answered: list[str] = []
    log = serving_paths(settings).log
    with service_process(settings) as process:
        stop = threading.Event()
        threads = [threading.Thread(target=ask_until, args=[settings, stop, answered]) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) > 300, "there is load", 30)
        if bound:
            # what was answered before this moment has to be there once the bound has passed
            due = list(answered)
            wait_until(lambda: recorded(log) >= set(due), "the bound", bound + 3)
        os.killpg(process.pid, signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        if not bound:
            due = list(answered)
    assert recorded(log) >= set(due)

    def published() -> list[str]:
        publish(settings)
        tables = [pq.read_table(path) for path in files_folder_of(settings).glob("*.parquet")]
        return [request_id for table in tables for request_id in table["request_id"].to_pylist()]

    # the kernel frees a killed worker's lock in its own time; until then its segment is left for the next publication
    wait_until(lambda: set(published()) >= set(due), "the killed worker's segment is published", 10)
    assert len(published()) == len(set(published()))


def files_folder_of(settings: PlatformSettings) -> Path:
    return settings.lake_root / "predictions" / "credit_risk" / "online"


def recorded(log: Path) -> set[str]:
    return {record["request_id"] for record in segments(log)}


def ask_until(settings: PlatformSettings, stop: threading.Event, answered: list[str]) -> None:
    with httpx.Client(base_url=settings.serving_url, trust_env=False) as client:
        while not stop.is_set():
            try:
                answer = client.get("/predict/5008804")
            except httpx.HTTPError:
                return
            answered.append(json.loads(answer.text)["request_id"])
