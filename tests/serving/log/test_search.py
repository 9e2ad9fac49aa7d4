"""A request's records are found wherever they are, and a search that fails says why."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.lake.lake import Lake
from mlops_platform.use_case.spec import UseCase
from serving.log.search import find
from serving.log.segment import read_lines
from tests.processes import wait_until
from tests.serving.conftest import Serve
from tests.serving.log.installed import InstalledLog, record_of

ADMIN = {"x-api-key": "an admin token"}
BATCH = {"ids": ["5008806", "1", "5008804"]}


@pytest.mark.anyio
async def test_a_replay_has_the_positions_of_the_request_before_and_after_publication(
    serve: Serve, log: InstalledLog
) -> None:
    settings = log.settings.model_copy(update={"serving_log_bound_seconds": 0.0})
    async with serve(settings) as (client, _):
        asked = (await client.post("/predict", json=BATCH)).json()["request_id"]
        before = (await client.get(f"/admin/replay/{asked}", headers=ADMIN)).json()
    wait_until(lambda: not list(log.folder.glob("*.jsonl")), "the service's own publication", 60)
    assert log.request_ids() == [asked, asked]
    async with serve(settings) as (client, _):
        after = (await client.get(f"/admin/replay/{asked}", headers=ADMIN)).json()
    assert [(one["position"], one["id"], one["same"]) for one in before["answers"]] == [
        (0, "5008806", True),
        (2, "5008804", True),
    ]
    assert after == before


def test_what_could_not_be_published_is_found(log: InstalledLog, credit_risk: UseCase) -> None:
    record = record_of(credit_risk, "wanted")
    segment = log.close_segment("1-a", record_of(credit_risk, "another"), record)
    segment.write_bytes(segment.read_bytes() + b'no json, but "wanted"\n{"request_id": "wanted"}\n["wanted"]\n')
    log.publish()
    assert [path.name for path in log.folder.glob("1-a.*")] == ["1-a.unreadable"]
    assert find(log.settings, "wanted") == [record]
    assert find(log.settings, "want") == []


def test_a_segment_that_is_closed_during_the_search_is_searched(
    log: InstalledLog, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(credit_risk, "wanted")
    segment = log.close_segment("1-a", record)
    segment.rename(segment.with_suffix(".open"))

    def close_first(path: Path) -> Iterator[bytes]:
        if path.suffix == ".open":
            path.rename(path.with_suffix(".jsonl"))
        return read_lines(path)

    monkeypatch.setattr("serving.log.search.read_lines", close_first)
    assert find(log.settings, "wanted") == [record]


def test_no_thread_but_the_searchs_own_reads_a_table(
    log: InstalledLog, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one that still holds a file while the interpreter ends is aborted, and the whole process with it."""
    record = record_of(credit_risk, "wanted")
    log.close_segment("1-a", record)
    log.publish()
    readers = set()

    class Watched(io.FileIO):
        def read(self, *size: Any) -> bytes:
            readers.add(threading.get_ident())
            return super().read(*size)

    monkeypatch.setattr(Lake, "open", lambda lake, key: Watched(lake._path(key)))
    assert find(log.settings, "wanted") == [record]
    assert readers == {threading.get_ident()}


@pytest.mark.anyio
async def test_a_search_that_fails_says_why(serve: Serve, log: InstalledLog) -> None:
    async with serve(log.settings) as (client, _):
        (log.folder / "1-a.unreadable").mkdir(parents=True)
        answer = await client.get("/admin/replay/0123456789abcdef", headers=ADMIN)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mlops:problem:log-search")
    assert answer.json()["detail"] == (
        f"the prediction log cannot be searched now: [Errno 21] Is a directory: '{log.folder}/1-a.unreadable'"
    )
