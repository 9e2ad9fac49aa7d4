"""Closed segments become files of the Hive table, whatever became of their use case's spec meanwhile."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from mlops_platform.files import write_text
from mlops_platform.lake.lake import Lake
from mlops_platform.models.manifest import manifest_sha256
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import Feature, UseCase
from serving.log.publish import Publication
from serving.log.schema import declared_schema
from serving.log.search import find
from serving.log.table import PredictionTable, create_table, move_table
from tests.processes import wait_until
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS
from tests.serving.log.disk import files_limited_to
from tests.serving.log.installed import InstalledLog, record_of


@pytest.mark.anyio
async def test_a_published_file_has_every_column_typed(serve: Serve, log: InstalledLog, forest: Trained) -> None:
    async with serve(log.settings) as (client, _):
        answered = (await client.get("/predict/5008805")).json()
        batch = (await client.post("/predict", json={"rows": [dict(ROWS[0].features)]})).json()
    wait_until(lambda: log.publish().complete is False and not list(log.folder.glob("*.jsonl")), "all is published", 30)
    rows = log.rows()
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
            "model_sha256": manifest_sha256(forest.folder),
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
            "model_sha256": manifest_sha256(forest.folder),
        },
    ]
    assert log.publish() == Publication(segments=0, complete=False)


@pytest.mark.parametrize(("limit", "value"), [("RECORDS_AT_ONCE", 2), ("BYTES_AT_ONCE", 500)])
def test_a_large_segment_is_published_in_row_groups(
    log: InstalledLog,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
) -> None:
    monkeypatch.setattr(f"serving.log.publish.{limit}", value)
    records = [record_of(credit_risk, f"r{number}") for number in range(5)]
    assert 250 < len(json.dumps(records[0])) < 500
    log.close_segment("1-a", *records)
    assert log.publish().segments == 1
    (file,) = log.table.files()
    metadata = pq.ParquetFile(log.settings.lake_root / file).metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2, 2, 1]
    assert log.request_ids() == ["r0", "r1", "r2", "r3", "r4"]


@pytest.mark.parametrize(
    "broken",
    [
        b"no json\n",
        b"[]\n",
        b'{"use_case":"gone"}\n',
        b'{"use_case":"credit_risk"}\n',
        b'{"use_case":"credit_risk","features":null}\n',
    ],
)
def test_a_segment_that_cannot_be_published_is_kept_and_holds_nothing_up(
    log: InstalledLog,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: bytes,
) -> None:
    monkeypatch.setattr("serving.log.publish.RECORDS_AT_ONCE", 2)
    segment = log.close_segment("1-a", *(record_of(credit_risk, f"r{number}") for number in range(3)))
    content = segment.read_bytes() + broken
    segment.write_bytes(content)
    log.close_segment("2-b", record_of(credit_risk, "next"))
    assert log.publish().segments == 1
    assert (log.folder / "1-a.unreadable").read_bytes() == content
    assert log.table.files() == ["predictions/credit_risk/online/2-b.parquet"]
    assert "segment of the prediction log not published" in caplog.text


def test_other_predictions_of_a_use_case_are_left_alone(log: InstalledLog, credit_risk: UseCase) -> None:
    scores = log.settings.lake_root / "predictions" / "titanic" / "batch" / "scores.parquet"
    scores.parent.mkdir(parents=True)
    scores.write_bytes(b"scores")
    log.close_segment("1-a", record_of(credit_risk, "wanted"))
    assert log.publish().segments == 1
    assert [record["request_id"] for record in find(log.settings, "wanted")] == ["wanted"]
    assert scores.read_bytes() == b"scores"


def test_a_segment_that_comes_back_after_its_publication_doubles_nothing(
    log: InstalledLog, credit_risk: UseCase
) -> None:
    """As after a publisher that was killed between the table's file and the segment's end."""
    record = record_of(credit_risk, "once")
    for _ in range(2):
        log.close_segment("1-a", record)
        assert log.publish().segments == 1
    assert log.request_ids() == ["once"]


def test_a_full_disk_leaves_the_segment_for_the_next_time(log: InstalledLog, credit_risk: UseCase) -> None:
    segment = log.close_segment("1-a", *(record_of(credit_risk, f"r{number}") for number in range(3)))
    with files_limited_to(100), pytest.raises(OSError, match="File too large"):
        log.publish()
    assert (segment.exists(), log.table.files()) == (True, [])
    assert log.publish().segments == 1
    assert len(log.rows()) == 3


def test_a_segment_that_is_closed_while_a_publication_ends_is_published_by_it(
    log: InstalledLog, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The publication of the worker that closes it finds the lock held, and leaves it."""
    log.close_segment("1-a", record_of(credit_risk, "first"))
    late = iter(["2-b"])

    def keep_tables(*_: object) -> bool:
        for name in late:
            log.close_segment(name, record_of(credit_risk, "last"))
            assert log.publish().segments == 0
        return True

    monkeypatch.setattr("serving.log.publish._keep_tables", keep_tables)
    assert log.publish() == Publication(segments=2, complete=True)


# -- a spec that changes -----------------------------------------------------------------------------------------------


def with_features(use_case: UseCase, *features: Feature) -> UseCase:
    return use_case.model_copy(update={"features": features})


def feature(name: str, kind: Any, example: Any) -> Feature:
    return Feature(name=name, type=kind, meaning="of a test", example=example, nullable=True)


@pytest.fixture
def specs(credit_risk: UseCase) -> list[UseCase]:
    """One after the other: a type widens, a feature comes, one goes; then a type becomes text, and a number again."""
    return [
        with_features(credit_risk, feature("age", "int", 31), feature("car", "int", 1)),
        with_features(credit_risk, feature("age", "double", 31.5), feature("income", "double", 0.1)),
        with_features(credit_risk, feature("age", "string", "thirties"), feature("income", "double", 0.1)),
        with_features(credit_risk, feature("income", "double", 0.1), feature("age", "int", 32)),
    ]


def declare(monkeypatch: pytest.MonkeyPatch, *use_cases: UseCase) -> None:
    for module in ("publish", "search"):
        monkeypatch.setattr(f"serving.log.{module}.all_use_cases", lambda: use_cases)


def test_hive_goes_on_through_every_change_of_the_features(
    log: InstalledLog,
    specs: list[UseCase],
    monkeypatch: pytest.MonkeyPatch,
    spark: SparkSession,
) -> None:
    # Spark's Thrift server runs these statements in such a session
    monkeypatch.setattr("serving.log.publish.run_query", lambda _host, _port, statement, _: spark.sql(statement))
    answers = []
    for number, spec in enumerate(specs):
        declare(monkeypatch, spec)
        log.close_segment(f"{number}-a", record_of(spec, f"r{number}"))
        assert log.publish() == Publication(segments=1, complete=True)
        spark.sql("REFRESH TABLE predictions.credit_risk")
        rows = spark.sql("SELECT request_id, id, features.* FROM predictions.credit_risk ORDER BY request_id")
        answers.append((dict(rows.dtypes), [tuple(row) for row in rows.collect()]))
    ids = {"request_id": "string", "id": "bigint"}
    assert answers == [
        ({**ids, "age": "int", "car": "int"}, [("r0", 5008804, 31, 1)]),
        (
            {**ids, "age": "double", "car": "int", "income": "double"},
            [("r0", 5008804, 31.0, 1, None), ("r1", 5008804, 31.5, None, 0.1)],
        ),
        (
            {**ids, "age": "string", "car": "int", "income": "double"},
            [
                ("r0", 5008804, "31", 1, None),
                ("r1", 5008804, "31.5", None, 0.1),
                ("r2", 5008804, "thirties", None, 0.1),
            ],
        ),
        (
            {**ids, "age": "string", "car": "int", "income": "double"},
            [
                ("r0", 5008804, "31", 1, None),
                ("r1", 5008804, "31.5", None, 0.1),
                ("r2", 5008804, "thirties", None, 0.1),
                ("r3", 5008804, "32", None, 0.1),
            ],
        ),
    ]
    spark.sql("DROP TABLE predictions.credit_risk")


def test_a_request_is_found_as_it_was_logged_whatever_the_spec_has_become(
    log: InstalledLog, specs: list[UseCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = []
    for number, spec in enumerate(specs):
        declare(monkeypatch, spec)
        logged.append(record_of(spec, f"r{number}"))
        log.close_segment(f"{number}-a", logged[-1])
        log.publish()
    (newest,) = find(log.settings, "r3")
    assert newest["features"] == {"age": 32, "car": None, "income": 0.1}
    assert {**newest, "features": logged[3]["features"]} == logged[3]
    assert [find(log.settings, f"r{number}")[0]["features"] for number in range(3)] == [
        {"age": 31, "car": 1, "income": None},
        {"age": 31.5, "car": None, "income": 0.1},
        {"age": "thirties", "car": None, "income": 0.1},
    ]


def test_records_of_the_spec_before_are_published_with_all_that_they_hold(
    log: InstalledLog,
    specs: list[UseCase],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service that was stopped leaves segments; the one that is started has another spec."""
    declare(monkeypatch, specs[3])
    log.close_segment("1-a", record_of(specs[2], "before"), record_of(specs[0], "long before"))
    log.close_segment("2-b", record_of(specs[0], "long before"), record_of(specs[1], "before", age=None))
    log.close_segment("3-c", record_of(specs[3], "now"))
    assert log.publish().segments == 2
    assert [row["features"] for row in log.rows()] == [
        {"age": 31, "income": None, "car": 1},
        {"age": None, "income": 0.1, "car": None},
        {"age": 32, "income": 0.1, "car": None},
    ]
    assert [path.name for path in log.folder.glob("*.unreadable")] == ["1-a.unreadable"]
    assert [record["features"]["age"] for record in find(log.settings, "long before")] == [31]


class _Killed(BaseException):
    """What a process that was killed does: nothing more."""


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let this many changes of files happen, and none after them."""
    left = iter(range(step))

    def until_killed(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise _Killed
            return change(*arguments, **options)

        return changed

    for owner, name in ((Lake, "add"), (Lake, "put"), (Lake, "delete"), (Path, "unlink"), (Path, "rename")):
        monkeypatch.setattr(owner, name, until_killed(getattr(owner, name)))
    monkeypatch.setattr("serving.log.publish.write_text", until_killed(write_text))


def test_a_publication_that_is_killed_at_any_step_loses_and_doubles_nothing(
    settings: PlatformSettings, specs: list[UseCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that widens a column, publishes two segments and merges files; the next one does what is left."""
    monkeypatch.setattr("serving.log.publish.run_query", lambda *_: [])
    monkeypatch.setattr("serving.log.compact.FILES_TO_MERGE", 3)
    killed = 0
    while True:
        log = InstalledLog(settings.model_copy(update={"state_dir": settings.state_dir / str(killed)}))
        declare(monkeypatch, specs[0])
        log.close_segment("0-a", record_of(specs[0], "old"))
        log.publish()
        declare(monkeypatch, specs[1])
        for number in (1, 2):
            log.close_segment(f"{number}-a", record_of(specs[1], f"new{number}"))
        try:
            with monkeypatch.context() as patched:
                kill_at(patched, killed)
                log.publish()
            break
        except _Killed:
            killed += 1
        assert [len(find(log.settings, wanted)) for wanted in ("old", "new1", "new2")] == [1, 1, 1]
        assert log.publish().complete
        assert sorted(log.request_ids()) == ["new1", "new2", "old"]
        assert [path.name for path in log.folder.glob("*.jsonl")] == []
    assert killed > 15
    assert log.table.folder == "predictions/credit_risk/online-2"


def test_a_use_case_that_is_gone_is_published_and_found(
    log: InstalledLog, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = credit_risk.model_copy(update={"name": "gone"})
    log.close_segment("1-a", record_of(gone, "of old"), record_of(credit_risk, "of now"))
    assert log.publish().segments == 1
    tables = {name: PredictionTable(Lake(log.settings.lake_root), name) for name in ("gone", "credit_risk")}
    assert [tables[name].schema() for name in tables] == [declared_schema(credit_risk)] * 2
    assert [record["use_case"] for record in find(log.settings, "of old")] == ["gone"]


def test_a_record_of_before_models_were_told_by_their_digest_is_published_and_found(
    log: InstalledLog, credit_risk: UseCase
) -> None:
    now, before = record_of(credit_risk, "now"), record_of(credit_risk, "before")
    del before["model_sha256"]
    log.close_segment("1-a", before, now)
    assert [one.get("model_sha256") for one in find(log.settings, "before")] == [None]
    assert log.publish().segments == 1
    found = [find(log.settings, request)[0] for request in ("before", "now")]
    assert found == [{**before, "model_sha256": None}, now]


def test_the_table_is_derived_from_its_files(credit_risk: UseCase, tmp_path: Path) -> None:
    table = PredictionTable(Lake(tmp_path), "credit_risk")
    location = f"file://{tmp_path}/predictions/credit_risk/online"
    assert create_table(table, declared_schema(credit_risk), "file:///lake/predictions") == [
        "CREATE DATABASE IF NOT EXISTS predictions LOCATION 'file:///lake/predictions'",
        "DROP TABLE IF EXISTS predictions.credit_risk",
        (
            "CREATE EXTERNAL TABLE predictions.credit_risk (`request_id` STRING, `position` INT, `time` TIMESTAMP, "
            "`use_case` STRING, `id` BIGINT, `feature_date` DATE, `features` STRUCT<`age`: INT, "
            "`years_on_the_job`: INT, "
            "`nb_previous_loans`: INT, `avg_amount_loans_previous`: DOUBLE, `flag_own_car`: INT>, `score` DOUBLE, "
            "`label` INT, `model_version` STRING, `snapshot` STRING, `variant` STRING, `served` BOOLEAN, "
            "`model_sha256` STRING)\n"
            f"STORED AS PARQUET\nLOCATION '{location}'"
        ),
    ]
    assert move_table(table) == f"ALTER TABLE predictions.credit_risk SET LOCATION '{location}'"
