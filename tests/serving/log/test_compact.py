"""The prediction table stays one of few files, and no reader sees a record twice or not at all."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlops_platform.lake.layout import Lake
from mlops_platform.online_store.hive import HiveUnavailable
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.log import compact as merge_files
from serving.log.compact import KEPT_SECONDS, merge_small_files, remove_old_folders
from serving.log.publish import publish
from serving.log.search import find
from serving.log.table import files_folder
from serving.paths import serving_paths
from tests.serving.log.test_prediction_log import record_line

FEW = 3


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.log.compact.FILES_TO_MERGE", FEW)


@pytest.fixture
def lake(installation: PlatformSettings) -> Lake:
    return Lake(installation.lake_root)


def publish_one(settings: PlatformSettings, use_case: UseCase, number: int, records: int = 1) -> None:
    log = serving_paths(settings).log
    log.mkdir(parents=True, exist_ok=True)
    lines = b"".join(record_line(use_case, f"r{number}.{record}") for record in range(records))
    (log / f"{number}-a.jsonl").write_bytes(lines)
    assert publish(settings) == 1


def request_ids(folder: Path, besides: str = "") -> list[str]:
    files = [file for file in sorted(folder.glob("*.parquet")) if file.name != besides]
    return [one for file in files for one in pq.read_table(file)["request_id"].to_pylist()]


def test_small_files_become_one_and_large_ones_stay(
    installation: PlatformSettings, credit_risk: UseCase, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_one(installation, credit_risk, 1, records=2000)
    first = files_folder(lake, "credit_risk")
    large = first / "1-a.parquet"
    monkeypatch.setattr("serving.log.compact.SMALL_BYTES", large.stat().st_size)
    publish_one(installation, credit_risk, 2)
    publish_one(installation, credit_risk, 3)
    assert files_folder(lake, "credit_risk") == first
    expected = request_ids(first)
    publish_one(installation, credit_risk, 4, records=2)
    merged = files_folder(lake, "credit_risk")
    assert (first.name, merged.name) == ("online", "online-1")
    assert sorted(file.name for file in merged.iterdir()) == ["1-a.parquet", "4-a-0.parquet"]
    assert (merged / "1-a.parquet").samefile(large)
    assert request_ids(merged) == [*expected, "r4.0", "r4.1"]
    assert pq.read_schema(merged / "4-a-0.parquet").equals(pq.read_schema(large))
    # what comes next comes into the new folder, and a request is found in it once
    publish_one(installation, credit_risk, 5)
    assert (merged / "5-a.parquet").exists()
    assert [record["request_id"] for record in find(installation, "r2.0")] == ["r2.0"]


def test_the_folder_before_is_removed_once_hive_knows_and_no_query_can_need_it(
    installation: PlatformSettings, credit_risk: UseCase, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hive(_host: str, _port: int, statement: str, _parameters: dict[str, Any]) -> Sequence[Any]:
        if down:
            raise HiveUnavailable("HiveServer2 is down", remedy="start it")
        asked.append(statement)
        return []

    # Hive's own failures cannot be had at the right moments; the platform's own tests ask the real one
    monkeypatch.setattr("serving.log.publish.run_query", hive)
    down = False
    for number in range(FEW):
        publish_one(installation, credit_risk, number)
    before, now = (lake.predictions("credit_risk") / name for name in ("online", "online-1"))
    assert asked[-1] == f"ALTER TABLE predictions.credit_risk SET LOCATION 'file://{now}'"
    os.utime(before, times=(0, before.stat().st_mtime - KEPT_SECONDS - 1))
    (serving_paths(installation).log / "credit_risk.table_made").write_text("file:///elsewhere")
    said, down = len(asked), True
    publish(installation)
    assert (len(asked), before.exists()) == (said, True)
    down = False
    publish(installation)
    assert (asked[-1], before.exists()) == (asked[said - 1], False)
    said = len(asked)
    publish_one(installation, credit_risk, FEW)
    assert (len(asked), len(request_ids(now))) == (said, FEW + 1)


def test_a_folder_is_kept_for_the_queries_under_way(
    installation: PlatformSettings, credit_risk: UseCase, lake: Lake
) -> None:
    for number in range(FEW):
        publish_one(installation, credit_risk, number)
    remove_old_folders(lake, "credit_risk")
    assert (lake.predictions("credit_risk") / "online").exists()


@pytest.mark.parametrize("step", ["_write_merged", "link_or_copy", "sync_folder"])
def test_a_merge_that_fails_changes_nothing_and_is_done_next_time(
    installation: PlatformSettings, credit_risk: UseCase, lake: Lake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for number in range(FEW - 1):
        publish_one(installation, credit_risk, number)
    folder = files_folder(lake, "credit_risk")
    large = folder / "0-large.parquet"
    large.write_bytes(b"0" * merge_files.SMALL_BYTES)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(merge_files, step, full)
        log = serving_paths(installation).log
        (log / "9-a.jsonl").write_bytes(record_line(credit_risk, "r9.0"))
        with pytest.raises(OSError, match="No space left"):
            publish(installation)
    assert files_folder(lake, "credit_risk") == folder
    assert [path.name for path in folder.parent.iterdir()] == ["online"]
    assert request_ids(folder, besides=large.name) == [f"r{number}.0" for number in (0, 1, 9)]
    assert publish(installation) == 0
    assert len(list(files_folder(lake, "credit_risk").iterdir())) == 2


def test_what_a_killed_merge_left_is_no_folder_of_the_table(
    installation: PlatformSettings, credit_risk: UseCase, lake: Lake
) -> None:
    for number in range(FEW - 1):
        publish_one(installation, credit_risk, number)
    draft = lake.predictions("credit_risk") / ".online-1.draft"
    draft.mkdir()
    (draft / "half.parquet").write_bytes(b"PAR1")
    assert merge_small_files(lake, credit_risk) is None
    publish_one(installation, credit_risk, 7)
    folder = files_folder(lake, "credit_risk")
    assert (folder.name, request_ids(folder)) == ("online-1", ["r0.0", "r1.0", "r7.0"])
    assert not draft.exists()
