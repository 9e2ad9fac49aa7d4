"""The prediction table stays one of few files, and no reader sees a record twice or not at all."""

import contextlib
import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from mlops_platform.online_store.hive import HiveUnavailable
from mlops_platform.use_case.spec import UseCase
from serving.log.compact import merge_small_files
from serving.log.search import find
from tests.serving.log.disk import files_limited_to
from tests.serving.log.installed import InstalledLog, record_of

FEW = 3


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.log.compact.FILES_TO_MERGE", FEW)


def publish_one(log: InstalledLog, use_case: UseCase, number: int, records: int = 1) -> None:
    log.close_segment(f"{number}-a", *(record_of(use_case, f"r{number}.{record}") for record in range(records)))
    assert log.publish().segments == 1


def test_small_files_become_one_and_large_ones_stay(
    log: InstalledLog,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_one(log, credit_risk, 1, records=2000)
    large = log.table_folders / "online" / "1-a.parquet"
    monkeypatch.setattr("serving.log.compact.SMALL_BYTES", large.stat().st_size)
    publish_one(log, credit_risk, 2)
    publish_one(log, credit_risk, 3)
    assert log.table.folder == "predictions/credit_risk/online"
    expected = log.request_ids()
    publish_one(log, credit_risk, 4, records=2)
    assert log.table.folder == "predictions/credit_risk/online-1"
    (kept, merged) = sorted((log.table_folders / "online-1").iterdir())
    assert (kept.name, merged.name.partition("-")[0]) == ("1-a.parquet", "4")
    assert kept.samefile(large)
    assert log.request_ids() == [*expected, "r4.0", "r4.1"]
    assert pq.read_schema(merged).equals(pq.read_schema(large))
    assert pq.ParquetFile(merged).num_row_groups == 1
    # what comes next comes into the new folder, and a request is found in it once
    publish_one(log, credit_risk, 5)
    assert (log.table_folders / "online-1" / "5-a.parquet").exists()
    assert [record["request_id"] for record in find(log.settings, "r2.0")] == ["r2.0"]


def test_merging_keeps_columns_that_the_spec_no_longer_has(
    log: InstalledLog,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_one(log, credit_risk, 1)
    fewer = credit_risk.model_copy(update={"features": credit_risk.features[1:]})
    monkeypatch.setattr("serving.log.publish.all_use_cases", lambda: (fewer,))
    publish_one(log, fewer, 2)
    publish_one(log, fewer, 3)
    assert log.table.folder == "predictions/credit_risk/online-1"
    (merged,) = (log.table_folders / "online-1").iterdir()
    gone = credit_risk.features[0]
    assert [row[gone.name] for row in pq.read_table(merged)["features"].to_pylist()] == [gone.example, None, None]


def test_the_folder_before_is_removed_once_hive_knows_and_no_query_can_need_it(
    log: InstalledLog, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
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
    for number in range(FEW - 1):
        publish_one(log, credit_risk, number)
    down = True
    publish_one(log, credit_risk, FEW)
    before, now = (log.table_folders / name for name in ("online", "online-1"))
    with monkeypatch.context() as patched:
        patched.setattr("serving.log.table.KEPT", dt.timedelta(0))
        assert (log.publish().complete, before.exists()) == (False, True)
        down = False
        assert (log.publish().complete, before.exists()) == (True, False)
    assert asked[-1] == f"ALTER TABLE predictions.credit_risk SET LOCATION 'file://{now}'"
    said = len(asked)
    publish_one(log, credit_risk, FEW + 1)
    assert (len(asked), len(log.request_ids())) == (said, FEW + 1)


def test_a_folder_is_kept_for_the_queries_under_way(log: InstalledLog, credit_risk: UseCase) -> None:
    for number in range(FEW):
        publish_one(log, credit_risk, number)
    log.table.remove_old_folders()
    assert (log.table_folders / "online").exists()


def test_a_merge_that_fails_changes_nothing_and_is_done_next_time(
    log: InstalledLog,
    credit_risk: UseCase,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.log.compact.FILES_TO_MERGE", 100)
    for number in range(FEW):
        publish_one(log, credit_risk, number, records=20)
    monkeypatch.setattr("serving.log.compact.FILES_TO_MERGE", FEW)
    # room for each file as it is, and not for all of them in one
    with files_limited_to(max(file.stat().st_size for file in (log.table_folders / "online").iterdir()) + 10):
        assert log.publish().complete is False
    assert "File too large" in str([vars(record).get("reason") for record in caplog.records])
    assert log.table.folder == "predictions/credit_risk/online"
    assert sorted(path.name for path in log.table_folders.iterdir()) == ["online", "online.json"]
    assert len(log.request_ids()) == 20 * FEW
    log.publish()
    assert (log.table.folder, len(log.table.files())) == ("predictions/credit_risk/online-1", 1)


def test_what_a_killed_merge_left_is_not_the_table(log: InstalledLog, credit_risk: UseCase) -> None:
    for number in range(FEW - 1):
        publish_one(log, credit_risk, number)
    with contextlib.suppress(ZeroDivisionError), log.table.successor() as folder:
        (log.settings.lake_root / folder).mkdir()
        raise ZeroDivisionError
    (log.settings.lake_root / folder).mkdir()
    (log.settings.lake_root / folder / "half.parquet").write_bytes(b"PAR1")
    assert log.table.folder == "predictions/credit_risk/online"
    assert merge_small_files(log.table) is False
    publish_one(log, credit_risk, 7)
    assert log.request_ids() == ["r0.0", "r1.0", "r7.0"]


def test_a_damaged_file_is_logged_and_left_where_it_is(
    log: InstalledLog,
    credit_risk: UseCase,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish_one(log, credit_risk, 0)
    (log.table_folders / "online" / "0-b.parquet").write_bytes(b"no parquet")
    for number in range(1, FEW):
        publish_one(log, credit_risk, number)
    assert "file of the prediction table is damaged" in caplog.text
    assert (log.table_folders / "online-1" / "0-b.parquet").read_bytes() == b"no parquet"
    (merged,) = log.table.schemas()
    assert next(log.table.row_groups(merged))["request_id"].to_pylist() == [f"r{number}.0" for number in range(FEW)]


def test_a_table_of_before_the_pointer_is_its_last_folder(log: InstalledLog, credit_risk: UseCase) -> None:
    publish_one(log, credit_risk, 1)
    (log.table_folders / "online").rename(log.table_folders / "online-10")
    (log.table_folders / "online-9").mkdir()
    (log.table_folders / "online-9" / "old.parquet").write_bytes(b"")
    assert log.table.folder == "predictions/credit_risk/online-10"
    assert [record["request_id"] for record in find(log.settings, "r1.0")] == ["r1.0"]
