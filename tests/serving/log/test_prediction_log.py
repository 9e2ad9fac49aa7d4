"""Every prediction is kept: within the bound, through a kill, a full disk and a restart, and as rows of a table."""

import asyncio
import json
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.log.publish import publish
from serving.log.table import files_folder, table_statements
from serving.log.write import LogPolicy, PredictionLog, close_abandoned, lines_of
from serving.paths import serving_paths
from serving.problems import Problem
from tests.processes import free_port, wait_until
from tests.serving.conftest import Serve
from tests.serving.installation import ROWS
from tests.serving.processes import service_process

LINE = b'{"request_id":"a"}\n'


def segments(folder: Path) -> list[dict[str, Any]]:
    return [record for path in sorted(folder.glob("*.*")) for record in lines_of(path)]


@pytest.mark.anyio
@pytest.mark.parametrize("bound", [0.0, 0.1])
async def test_records_are_on_disk_within_the_bound(tmp_path: Path, bound: float) -> None:
    log = PredictionLog(tmp_path, LogPolicy(bound_seconds=bound))
    log.start()
    try:
        log.put([LINE, LINE], log.reserve(2))
        await log.committed()
        if bound:
            await asyncio.to_thread(wait_until, lambda: log.queued == 0, "written", 5)
        assert segments(tmp_path) == [{"request_id": "a"}, {"request_id": "a"}]
    finally:
        await log.stop()
    assert [path.suffix for path in tmp_path.iterdir()] == [".jsonl"]


def test_a_full_queue_refuses_or_drops_as_it_was_told(tmp_path: Path) -> None:
    refusing = PredictionLog(tmp_path, LogPolicy(queue_limit=2))
    refusing.put([LINE, LINE], refusing.reserve(2))
    with pytest.raises(Problem, match="the prediction log cannot take more records now") as refused:
        refusing.reserve(1)
    assert refused.value.status == 503
    dropping = PredictionLog(tmp_path, LogPolicy(queue_limit=2, overflow="drop"))
    dropping.put([LINE, LINE], dropping.reserve(2))
    dropping.put([LINE], dropping.reserve(1))
    assert (dropping.queued, dropping.dropped) == (2, 1)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """The kernel refuses to let files grow beyond this, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.anyio
async def test_a_full_disk_keeps_records_queued_and_whole_until_there_is_room(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, LogPolicy(bound_seconds=0.05, queue_limit=100))
    log.start()
    try:
        with files_limited_to(len(LINE) * 2 + 5):
            log.put([LINE] * 2, log.reserve(2))
            await asyncio.to_thread(wait_until, lambda: log.queued == 0, "the first are written", 5)
            log.put([LINE] * 98, log.reserve(98))
            await asyncio.to_thread(wait_until, lambda: log.failure is not None, "the failure is seen", 5)
            assert len(segments(tmp_path)) == 2
            log.put([LINE] * 2, log.reserve(2))
            with pytest.raises(Problem):
                log.reserve(1)
        await asyncio.to_thread(wait_until, lambda: log.queued == 0, "written", 5)
        assert (log.failure, log.dropped, len(segments(tmp_path))) == (None, 0, 102)
    finally:
        await log.stop()


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "1-a.open"
    path.write_bytes(LINE + LINE[:5])
    close_abandoned(tmp_path)
    assert list(lines_of(tmp_path / "1-a.jsonl")) == [{"request_id": "a"}]


@pytest.mark.anyio
async def test_a_published_file_has_every_column_typed(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    async with serve(installation) as (client, service):
        service.runtime.log._publish_command = None
        answered = (await client.get("/predict/5008805")).json()
        batch = (await client.post("/predict", json={"rows": [dict(ROWS[0].features)]})).json()
    assert publish(installation) == 1
    files = list(files_folder(service.runtime.lake, "credit_risk").glob("*.parquet"))
    assert len(files) == 1
    rows = pq.read_table(files[0]).to_pylist()
    assert [row.pop("time") is not None for row in rows] == [True, True]
    assert rows == [
        {
            "request_id": answered["request_id"],
            "position": 0,
            "use_case": "credit_risk",
            "id": 5008805,
            "feature_date": ROWS[1].feature_date,
            "features": ROWS[1].features,
            "score": answered["probability"],
            "label": answered["prediction"],
            "model_version": "1",
            "snapshot": "first",
            "variant": "champion",
            "served": True,
        },
        {
            "request_id": batch["request_id"],
            "position": 0,
            "use_case": "credit_risk",
            "id": None,
            "feature_date": None,
            "features": ROWS[0].features,
            "score": batch["predictions"][0]["probability"],
            "label": batch["predictions"][0]["prediction"],
            "model_version": "1",
            "snapshot": "first",
            "variant": "champion",
            "served": True,
        },
    ]
    assert publish(installation) == 0


def test_a_large_segment_is_published_in_row_groups(
    installation: PlatformSettings, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.log.publish.RECORDS_AT_ONCE", 2)
    log = serving_paths(installation).log
    log.mkdir(parents=True)
    (log / "1-a.jsonl").write_bytes(b"".join(record_line(credit_risk, f"r{number}") for number in range(5)))
    assert publish(installation) == 1
    (file,) = files_folder_of(installation).iterdir()
    assert [pq.ParquetFile(file).metadata.row_group(group).num_rows for group in range(3)] == [2, 2, 1]
    assert pq.read_table(file)["request_id"].to_pylist() == ["r0", "r1", "r2", "r3", "r4"]


@pytest.mark.parametrize("broken", [b"no json\n", b'{"use_case":"gone"}\n', b'{"use_case":"credit_risk"}\n'])
def test_a_segment_that_cannot_be_published_is_kept_and_holds_nothing_up(
    installation: PlatformSettings,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: bytes,
) -> None:
    monkeypatch.setattr("serving.log.publish.RECORDS_AT_ONCE", 2)
    log = serving_paths(installation).log
    log.mkdir(parents=True)
    content = b"".join(record_line(credit_risk, f"r{number}") for number in range(3)) + broken
    (log / "1-a.jsonl").write_bytes(content)
    (log / "2-b.jsonl").write_bytes(record_line(credit_risk, "next"))
    assert publish(installation) == 1
    assert (log / "1-a.unreadable").read_bytes() == content
    assert [path.name for path in files_folder_of(installation).iterdir()] == ["2-b.parquet"]
    assert "segment of the prediction log not published" in caplog.text


def record_line(use_case: UseCase, request_id: str) -> bytes:
    record = {
        "request_id": request_id,
        "position": 0,
        "time": 1.5,
        "use_case": use_case.name,
        "id": "5008804",
        "feature_date": "2020-01-02",
        "features": {feature.name: feature.example for feature in use_case.features},
        "score": 0.5,
        "label": 1,
        "model_version": "1",
        "snapshot": "first",
        "variant": "champion",
        "served": True,
    }
    return json.dumps(record).encode() + b"\n"


def test_the_table_is_derived_from_the_spec(credit_risk: UseCase) -> None:
    database, table, move = table_statements(
        credit_risk, "file:///lake/predictions", "file:///lake/predictions/c/online"
    )
    assert database == "CREATE DATABASE IF NOT EXISTS predictions LOCATION 'file:///lake/predictions'"
    assert move == "ALTER TABLE predictions.credit_risk SET LOCATION 'file:///lake/predictions/c/online'"
    assert table == (
        "CREATE EXTERNAL TABLE IF NOT EXISTS predictions.credit_risk (\n"
        "  `request_id` STRING,\n  `position` INT,\n  `time` TIMESTAMP,\n  `use_case` STRING,\n  `id` BIGINT,\n"
        "  `feature_date` DATE,\n  `features` STRUCT<`age`: INT, `years_on_the_job`: INT, `nb_previous_loans`: INT, "
        "`avg_amount_loans_previous`: DOUBLE, `flag_own_car`: INT>,\n  `score` DOUBLE,\n  `label` INT,\n"
        "  `model_version` STRING,\n  `snapshot` STRING,\n  `variant` STRING,\n  `served` BOOLEAN\n"
        ")\nSTORED AS PARQUET\nLOCATION 'file:///lake/predictions/c/online'"
    )


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
