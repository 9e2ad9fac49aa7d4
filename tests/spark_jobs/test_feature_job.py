"""The whole job on small files: what it publishes, what it rejects, and what it leaves as it was when it fails."""

import datetime as dt
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
from py4j.protocol import INPUT_CONVERTER
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import RuleFinding, SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.online_store import FeatureRow
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.use_case.spec import UseCase
from spark_jobs import feature_job
from tests.spark import LOAN, WriteLoans

RunJob = Callable[..., str]
THREE_LOANS: tuple[dict[str, Any], ...] = (
    {"loan_id": 1, "id": 7, "loan_date": "2019-02-01", "loan_amount": 100.0},
    {"loan_id": 2, "id": 7, "loan_date": "2019-03-01", "loan_amount": 200.0},
    {"loan_id": 3, "id": 8, "loan_date": "2019-03-01", "loan_amount": 300.0, "flag_own_car": None},
)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "my state"))
    monkeypatch.setenv("MLOPS_SNAPSHOTS_KEPT", "2")
    return Lake(tmp_path / "my state" / "lake")


@pytest.fixture
def snapshots(lake: Lake) -> Snapshots:
    return Snapshots(lake, "credit_risk")


@pytest.fixture
def run(hive: SparkSession, lake: Lake, credit_risk: UseCase) -> RunJob:
    """Adds the file to the lake, if one is given, and runs the job; returns its failure, nothing if it went well."""

    def run_job(file: Path | None = None, *, run_id: str = "first", version: int = 0, dry: bool = False) -> str:
        if file is not None:
            Datasets(lake, credit_risk).add(file)
        arguments = ["--use-case", "credit_risk", "--dataset-version", str(version), "--run-id", run_id]
        arguments += ["--run-date", "2021-01-01", *(["--dry-run"] if dry else [])]
        return feature_job.failure_of(feature_job.parse(arguments), lambda _: hive)

    feature_job.configure(hive, partitions=2)
    return run_job


@pytest.fixture
def tolerant(monkeypatch: pytest.MonkeyPatch, credit_risk: UseCase) -> None:
    """A spec that tolerates nine bad rows in ten."""
    monkeypatch.setattr(feature_job, "get_use_case", lambda _: credit_risk.model_copy(update={"quarantine_limit": 0.9}))


def table(spark: SparkSession, name: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in spark.sql(f"SELECT * FROM features.{name} ORDER BY loan_id").collect()]


def published(snapshots: Snapshots) -> SnapshotManifest:
    manifest = snapshots.current()
    assert manifest is not None
    return manifest


def files_of(lake: Lake) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in lake.root.rglob("*") if path.is_file()}


def test_a_run_publishes_hive_and_the_online_store(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    assert run(write_loans(*THREE_LOANS)) == ""

    snapshot, manifest = snapshot_id("first"), published(snapshots)
    assert table(hive, "credit_risk_current") == [
        (1, 7, dt.date(2019, 2, 1), 30, 9, 0, None, 1, 0, 0, snapshot),
        (2, 7, dt.date(2019, 3, 1), 30, 9, 1, 100.0, 1, 0, 1, snapshot),
        (3, 8, dt.date(2019, 3, 1), 30, 9, 0, None, None, 0, 1, snapshot),
    ]
    assert table(hive, "credit_risk_latest") == [
        (2, 7, dt.date(2019, 3, 1), 30, 9, 1, 100.0, 1, 0, snapshot),
        (3, 8, dt.date(2019, 3, 1), 30, 9, 0, None, None, 0, snapshot),
    ]
    assert hive.table("features.credit_risk_latest").dtypes == [
        ("loan_id", "bigint"),
        ("id", "bigint"),
        ("loan_date", "date"),
        ("age", "int"),
        ("years_on_the_job", "int"),
        ("nb_previous_loans", "int"),
        ("avg_amount_loans_previous", "double"),
        ("flag_own_car", "int"),
        ("status", "int"),
        ("snapshot", "string"),
    ]
    store = EmbeddedStore(snapshots.lake.root / manifest.online_path, manifest.snapshot)
    assert store.get_many(["8", "7", "9"]) == [
        FeatureRow(
            "8",
            dt.date(2019, 3, 1),
            {
                "age": 30,
                "years_on_the_job": 9,
                "nb_previous_loans": 0,
                "avg_amount_loans_previous": None,
                "flag_own_car": None,
            },
        ),
        FeatureRow(
            "7",
            dt.date(2019, 3, 1),
            {
                "age": 30,
                "years_on_the_job": 9,
                "nb_previous_loans": 1,
                "avg_amount_loans_previous": 100.0,
                "flag_own_car": 1,
            },
        ),
        None,
    ]
    assert (manifest.rows, manifest.entities, manifest.dataset_version) == (3, 2, 1)
    assert manifest.quality.model_dump() == {
        "rows_read": 3,
        "rows_valid": 3,
        "rows_quarantined": 0,
        "findings": (),
    }
    assert list(manifest.timings) == ["session", "features", "checks", "online_store", "durable", "hive"]


def test_the_same_run_again_gives_the_same_rows_once(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS))
    before, first = table(hive, "credit_risk"), published(snapshots)

    # the latest dataset is another one by now; a rerun works on the one it worked on
    assert run(write_loans({"loan_id": 9}, name="later.csv")) == ""

    again = published(snapshots)
    assert table(hive, "credit_risk") == before
    assert table(hive, "credit_risk_current") == before
    assert (again.snapshot, again.dataset_version) == (first.snapshot, 1)
    assert [path.name for path in snapshots.snapshot_folder(first.snapshot).glob("attempt-*")] == [again.attempt]
    assert [path.stem for path in (snapshots.lake.root / again.online_path).parent.iterdir()] == [again.attempt]


def test_old_snapshots_are_kept_and_the_oldest_go(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS), run_id="a")
    run(run_id="b")
    run(write_loans({"loan_id": 9}, name="later.csv"), run_id="c")

    partitions = [row[0] for row in hive.sql("SHOW PARTITIONS features.credit_risk").collect()]
    assert partitions == [f"snapshot={snapshot_id('b')}", f"snapshot={snapshot_id('c')}"]
    assert [manifest.snapshot for manifest in snapshots.published()] == [snapshot_id("c"), snapshot_id("b")]
    assert sorted(path.name for path in snapshots.folder.glob("snapshot=*")) == partitions
    assert sorted(path.name for path in snapshots.lake.online("credit_risk").iterdir()) == partitions
    assert [row[0] for row in table(hive, "credit_risk_current")] == [9]


@pytest.mark.usefixtures("tolerant")
def test_bad_rows_are_quarantined_with_their_reasons(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    file = write_loans(
        *THREE_LOANS,
        {"loan_id": 10, "loan_amount": "a lot"},
        {"loan_id": 11, "birthday": None, "flag_own_car": "maybe"},
        {"loan_id": 12, "status": 2},
        {"loan_id": 13, "loan_amount": -1},
        {"loan_id": 14, "loan_date": "2019"},
        {"loan_id": 15, "loan_amount": "NaN"},
        {"loan_id": 16, "cnt_children": 1.5},
        {"loan_id": None},
        {"loan_id": 20, "loan_amount": 1.0},  # twice, and they differ: neither counts
        {"loan_id": "020", "loan_amount": 2.0},
        {"loan_id": 3, "id": 8, "loan_date": "2019-03-01", "loan_amount": 300.0, "flag_own_car": None},  # a copy
        {"loan_id": 30, "birthday": "2019-02-02"},  # born the day after
    )
    with file.open("a", encoding="utf-8") as lines:
        lines.write("40,7,F\n")
        lines.write(",".join(str(value) for value in (LOAN | {"loan_id": 41}).values()) + ",one more\n")

    assert run(file) == ""

    manifest = published(snapshots)
    assert manifest.quarantine_path is not None
    rejected = ds.dataset(snapshots.lake.root / manifest.quarantine_path, format="parquet").to_table().to_pylist()
    assert sorted((row["loan_id"] or "", row["reasons"]) for row in rejected) == [
        ("", ["loan_id: missing"]),
        ("020", ["loan_id: occurs more than once"]),
        ("10", ["loan_amount: no double"]),
        ("11", ["flag_own_car: not allowed", "birthday: missing"]),
        ("12", ["status: above maximum"]),
        ("13", ["loan_amount: below minimum"]),
        ("14", ["loan_date: no date"]),
        ("15", ["loan_amount: no double"]),
        ("16", ["cnt_children: no int"]),
        ("20", ["loan_id: occurs more than once"]),
        ("3", ["loan_id: occurs more than once"]),
        ("30", ["age: below minimum"]),
        ("40", ["row: not 24 fields"]),
        ("41", ["row: not 24 fields"]),
    ]
    assert [row["loan_amount"] for row in rejected if row["loan_id"] == "10"] == ["a lot"]
    assert (manifest.quality.rows_read, manifest.quality.rows_valid, manifest.quality.rows_quarantined) == (17, 3, 14)
    assert manifest.quality.findings[:3] == (
        RuleFinding(rule="loan_id: occurs more than once", rows=3),
        RuleFinding(rule="loan_amount: no double", rows=2),
        RuleFinding(rule="row: not 24 fields", rows=2),
    )
    # the features are those of the good rows alone
    assert [(row[0], *row[3:7]) for row in table(hive, "credit_risk_current")] == [
        (1, 30, 9, 0, None),
        (2, 30, 9, 1, 100.0),
        (3, 30, 9, 0, None),
    ]


def test_too_many_bad_rows_publish_nothing_and_say_why(
    run: RunJob, hive: SparkSession, lake: Lake, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS))
    before, current = table(hive, "credit_risk_current"), snapshots.current()
    bad = [{"loan_id": n, "loan_amount": "x"} for n in (4, 5)]

    failure = run(write_loans(*THREE_LOANS, *bad, {"loan_id": 6, "status": 7}, name="bad.csv"), run_id="second")

    assert failure == (
        "3 of 6 rows of credit_risk (50.0%) are quarantined, 5.0% are tolerated: loan_amount: no double (2 rows); "
        "status: above maximum (1 rows). Remedy: correct the file and add it as a new dataset version, "
        "or raise quarantine_limit in the spec"
    )
    assert (table(hive, "credit_risk_current"), snapshots.current()) == (before, current)
    assert not snapshots.snapshot_folder(snapshot_id("second")).exists()
    assert list((lake.quarantine("credit_risk") / f"snapshot={snapshot_id('second')}").glob("attempt-*/*.parquet"))


def test_no_row_left(run: RunJob, write_loans: WriteLoans) -> None:
    assert run(write_loans({"loan_id": 1, "status": 7})) == (
        "no row of credit_risk is left: 1 read, 1 quarantined: status: above maximum (1 rows). "
        "Remedy: correct the file and add it as a new dataset version"
    )


def test_a_dry_run_writes_nothing(
    run: RunJob, hive: SparkSession, lake: Lake, write_loans: WriteLoans, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run(write_loans(*THREE_LOANS))
    before, rows = files_of(lake), table(hive, "credit_risk")

    assert run(run_id="second", dry=True) == ""

    assert (files_of(lake), table(hive, "credit_risk")) == (before, rows)
    assert caplog.messages[-2:] == ["3 rows read, 3 valid, 0 quarantined", "dry run: nothing was written"]


def test_a_dry_run_finds_what_a_run_finds(run: RunJob, write_loans: WriteLoans) -> None:
    file = write_loans(*THREE_LOANS, {"loan_id": 3, "id": 9}, {"loan_id": 4, "birthday": "2020-01-01"})

    assert run(file, dry=True) == run(run_id="real") != ""


def _shortened(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _changed(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"Married", "Vermählt".encode("latin-1")))


def _removed(file: Path) -> None:
    file.unlink()


def _made_a_directory(file: Path) -> None:
    file.mkdir()


def test_a_file_damaged_in_the_lake_fails_with_one_message(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, credit_risk: UseCase, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS))
    before, current = table(hive, "credit_risk"), snapshots.current()
    damaged = Datasets(snapshots.lake, credit_risk).add(write_loans(*THREE_LOANS, {"loan_id": 4}, name="more.csv")).file

    for damage in (_shortened, _changed, _emptied, _removed, _made_a_directory):
        damage(damaged)
        failure = run(run_id="second")

        assert failure.startswith(str(damaged))
        assert failure.endswith("Remedy: add the file again; versions are never edited")
        assert "\n" not in failure
    assert (table(hive, "credit_risk"), snapshots.current()) == (before, current)


def test_a_gzipped_file_gives_the_same_features(run: RunJob, hive: SparkSession, write_loans: WriteLoans) -> None:
    plain = write_loans(*THREE_LOANS)
    zipped = plain.with_suffix(".csv.gz")
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    run(plain, run_id="a")
    expected = [row[:-1] for row in table(hive, "credit_risk_current")]

    assert run(zipped, run_id="b") == ""

    assert [row[:-1] for row in table(hive, "credit_risk_current")] == expected


def test_a_dataset_of_an_older_spec_is_refused(
    run: RunJob, snapshots: Snapshots, lake: Lake, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS), dry=True)
    path = lake.raw("credit_risk") / "version=1" / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["columns"][-1] = "amount"
    path.write_text(json.dumps(content), encoding="utf-8")

    assert "has the wrong columns" in run()
    assert snapshots.current() is None


def test_an_unknown_use_case_or_dataset_is_said(run: RunJob, hive: SparkSession) -> None:
    assert run() == (
        "credit_risk has no dataset yet; there are: none. Remedy: add a file with `mlops data add credit_risk FILE`"
    )
    arguments = ["--use-case", "credit_risc", "--dataset-version", "0", "--run-id", "r", "--run-date", "2021-01-01"]
    failure = feature_job.failure_of(feature_job.parse(arguments), lambda _: hive)
    assert failure.startswith("there is no use case 'credit_risc'. Remedy: did you mean 'credit_risk'?")


def test_an_error_of_spark_is_one_line(run: RunJob, write_loans: WriteLoans, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(session: SparkSession, *_: Any) -> None:
        session.sql("SELECT raise_error('disk full')").collect()

    monkeypatch.setattr(feature_job, "build", broken)

    failure = run(write_loans(*THREE_LOANS))

    assert "\n" not in failure
    assert "disk full" in failure
    assert failure.endswith("Remedy: see the log above")


def test_the_submitted_job_ends_with_its_message(tmp_path: Path, project_root: Path) -> None:
    arguments = ["--use-case", "credit_risk", "--dataset-version", "3", "--run-id", "r", "--run-date", "2021-01-01"]
    environment = os.environ | {"MLOPS_STATE_DIR": str(tmp_path), "PYTHONPATH": str(project_root)}

    ended = subprocess.run(
        [sys.executable, str(project_root / "spark_jobs" / "feature_job.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stdout.splitlines()[-1] == (
        "feature job failed: credit_risk has no dataset version 3; there are: none. "
        "Remedy: add a file with `mlops data add credit_risk FILE`"
    )


def test_values_of_numpy_are_handed_over_all_the_same(spark: SparkSession) -> None:
    converters = list(INPUT_CONVERTER)
    try:
        feature_job.spare_pandas()
        assert [isinstance(one, feature_job.OfNumpyAlone) for one in INPUT_CONVERTER].count(True) == 2
        row = spark.range(1).select(F.lit(np.float64(2.5)), F.lit(np.array([1, 2])), F.lit(3)).first()
    finally:
        INPUT_CONVERTER[:] = converters
    assert row is not None
    assert tuple(row) == (2.5, [1, 2], 3)
