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

import pyarrow.dataset as ds
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.inputs import snapshot_inputs
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import RuleFinding, SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.online_store import FeatureRow
from mlops_platform.online_store.published import published_store
from mlops_platform.transform.compile import compile_transform
from mlops_platform.transform.kept import read_kept
from mlops_platform.use_case.spec import UseCase
from spark_jobs import feature_job, features
from spark_jobs.session import configure
from spark_jobs.transform import compute_of
from tests.spark import LOAN, WriteLoans

RunJob = Callable[..., str]
THREE_LOANS: tuple[dict[str, Any], ...] = (
    {"loan_id": 1, "id": 7, "loan_date": "2019-02-01", "loan_amount": 100.0},
    {"loan_id": 2, "id": 7, "loan_date": "2019-03-01", "loan_amount": 200.0},
    {"loan_id": 3, "id": 8, "loan_date": "2019-03-01", "loan_amount": 300.0, "flag_own_car": None},
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The lake's folder."""
    return tmp_path / "my state" / "lake"


@pytest.fixture
def lake(root: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(root.parent))
    monkeypatch.setenv("MLOPS_SNAPSHOTS_KEPT", "2")
    return Lake(root)


@pytest.fixture
def snapshots(lake: Lake) -> Snapshots:
    return Snapshots(lake, "credit_risk")


@pytest.fixture
def run(hive: SparkSession, lake: Lake, credit_risk: UseCase) -> RunJob:
    """Adds the file to the lake, if one is given, and runs the job; returns its failure, nothing if it went well."""

    def run_job(
        file: Path | None = None,
        *,
        run_id: str = "first",
        version: int = 0,
        dry: bool = False,
        day: str = "2021-01-01",
    ) -> str:
        if file is not None:
            Datasets(lake, credit_risk).add(file)
        arguments = ["--use-case", "credit_risk", "--dataset-version", str(version), "--run-id", run_id]
        arguments += ["--run-date", day, *(["--dry-run"] if dry else [])]
        failure = feature_job.failure_of(feature_job.parse(arguments), lambda _: hive)
        return failure.message if failure else ""

    configure(hive, partitions=2)
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


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def quarantined(root: Path, manifest: SnapshotManifest) -> list[dict[str, Any]]:
    assert manifest.quarantine_path is not None
    rows: list[dict[str, Any]] = ds.dataset(root / manifest.quarantine_path, format="parquet").to_table().to_pylist()
    return rows


def change_manifest(lake: Lake, **changes: object) -> None:
    """Change what the manifest of the first dataset says of its file."""
    key = "raw/credit_risk/version=1/manifest.json"
    manifest = json.loads(lake.read(key))
    lake.put(key, json.dumps(manifest | {"files": [manifest["files"][0] | changes]}).encode())


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
    with published_store(snapshots.lake, manifest) as store:
        stored = store.get_many(["8", "7", "9"])
    assert stored == [
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
    assert list(manifest.timings) == ["session", "features", "checks", "proof", "online_store", "durable", "hive"]


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
    assert snapshots.lake.folders(snapshots.snapshot_key(first.snapshot)) == [again.attempt]
    assert snapshots.lake.keys(f"online/credit_risk/snapshot={again.snapshot}") == [again.online_path]


def test_a_published_run_does_not_take_another_dataset(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS), version=1)
    before, first = table(hive, "credit_risk"), snapshots.current()

    assert run(write_loans({"loan_id": 9}, name="later.csv"), version=2) == (
        f"the run first published dataset version 1 as snapshot {snapshot_id('first')}; it cannot publish version 2 "
        "under the same name. Remedy: start a new run: `mlops run credit_risk features`"
    )
    assert (table(hive, "credit_risk"), snapshots.current()) == (before, first)


def test_a_run_of_an_earlier_day_does_not_become_current(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run(write_loans(*THREE_LOANS), run_id="today", day="2021-01-02")
    current = snapshots.current()

    assert run(write_loans({"loan_id": 9}, name="later.csv"), run_id="backfill", day="2021-01-01") == ""

    assert snapshots.current() == current
    assert [row[0] for row in table(hive, "credit_risk_current")] == [1, 2, 3]
    assert [row[0] for row in table(hive, "credit_risk_latest")] == [2, 3]
    assert [row[0] for row in table(hive, "credit_risk")] == [1, 2, 3, 9], "its partition is in the history"
    assert f"the current snapshot stays {snapshot_id('today')}, which is of a later day" in caplog.messages


def test_the_manifest_says_what_the_snapshot_was_made_from(
    run: RunJob, snapshots: Snapshots, write_loans: WriteLoans, credit_risk: UseCase
) -> None:
    run(write_loans(*THREE_LOANS), run_id="a")
    first = published(snapshots)
    run(run_id="b", day="2021-05-05")
    again = published(snapshots)
    run(write_loans(*THREE_LOANS, {"loan_id": 9}, name="later.csv"), run_id="c", day="2021-05-06")
    other = published(snapshots)

    assert first.inputs == again.inputs != other.inputs
    compiled, day = compile_transform(credit_risk), dt.date(2021, 1, 1)
    assert first.transform == compiled.fingerprint == other.transform
    assert read_kept(snapshots.lake, again) == compiled == read_kept(snapshots.lake, other)
    dataset = Datasets(snapshots.lake, credit_risk).get(1)
    assert first.inputs == snapshot_inputs(credit_risk, dataset, compiled, day)
    words = tuple(column.model_copy(update={"meaning": "in other words"}) for column in credit_risk.raw)
    assert snapshot_inputs(credit_risk.model_copy(update={"raw": words}), dataset, compiled, day) == first.inputs
    bounds = tuple(column.model_copy(update={"maximum": 5.0}) for column in credit_risk.raw)
    assert snapshot_inputs(credit_risk.model_copy(update={"raw": bounds}), dataset, compiled, day) != first.inputs
    dated = compiled.model_copy(update={"sql": "SELECT $run_date"})
    days = [snapshot_inputs(credit_risk, dataset, dated, dt.date(2021, 1, day)) for day in (1, 2)]
    assert days[0] != days[1]


def test_a_transform_that_duckdb_computes_otherwise_fails_the_build(
    run: RunJob, snapshots: Snapshots, write_loans: WriteLoans, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = compute_of("credit_risk")
    older = F.when(F.col("loan_id") == 2, F.col("age") + 1).otherwise(F.col("age"))
    monkeypatch.setattr(features, "compute_of", lambda _: lambda raw, day: compute(raw, day).withColumn("age", older))

    assert run(write_loans(*THREE_LOANS)) == (
        "credit_risk: of 3 rows, 1 have another age in Spark than in DuckDB; the first is loan_id 2: 31 in Spark and "
        "30 in DuckDB. Remedy: write age in another way; docs/transforms.md lists what both do differently"
    )
    assert snapshots.current() is None


def test_old_snapshots_are_kept_and_the_oldest_go(
    run: RunJob, hive: SparkSession, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS), run_id="a")
    run(run_id="b")
    run(write_loans({"loan_id": 9}, name="later.csv"), run_id="c")

    partitions = [row[0] for row in hive.sql("SHOW PARTITIONS features.credit_risk").collect()]
    assert partitions == [f"snapshot={snapshot_id('b')}", f"snapshot={snapshot_id('c')}"]
    assert [manifest.snapshot for manifest in snapshots.published()] == [snapshot_id("c"), snapshot_id("b")]
    assert snapshots.lake.folders("features/credit_risk") == partitions
    assert snapshots.lake.folders("online/credit_risk") == partitions
    assert [row[0] for row in table(hive, "credit_risk_current")] == [9]


@pytest.mark.usefixtures("tolerant")
def test_bad_rows_are_quarantined_with_their_reasons(
    run: RunJob, hive: SparkSession, root: Path, snapshots: Snapshots, write_loans: WriteLoans
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
    rejected = quarantined(root, manifest)
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


@pytest.mark.usefixtures("tolerant")
def test_rows_that_differ_in_an_empty_field_are_no_copies(
    run: RunJob, root: Path, snapshots: Snapshots, write_loans: WriteLoans
) -> None:
    # the same text, in one row of one field and in the other of the next
    one = {"loan_id": 2, "code_gender": None, "name_income_type": "Pensioner", "name_education_type": None}
    other = {"loan_id": 2, "code_gender": None, "name_income_type": None, "name_education_type": "Pensioner"}

    assert run(write_loans({"loan_id": 1}, one, other)) == ""

    manifest = published(snapshots)
    assert (manifest.rows, manifest.quality.rows_quarantined) == (1, 2)
    assert [row["name_income_type"] for row in quarantined(root, manifest)].count(None) == 1


def test_a_line_break_in_quotes_is_part_of_its_row(run: RunJob, snapshots: Snapshots, write_loans: WriteLoans) -> None:
    loans = [{"occupation_type": text} for text in ("Core\nstaff", 'Sales\r\n"staff"', "Managers", "")]

    assert run(write_loans(*({"loan_id": n} | loan for n, loan in enumerate(loans)))) == ""

    assert published(snapshots).quality.rows_read == published(snapshots).rows == 4


def test_a_dataset_from_before_sources_and_line_breaks_were_looked_for_is_read_right(
    run: RunJob, lake: Lake, snapshots: Snapshots, write_loans: WriteLoans, credit_risk: UseCase
) -> None:
    file = write_loans({"loan_id": 1, "occupation_type": "Core\nstaff"}, {"loan_id": 2})
    added = Datasets(lake, credit_risk).add(file)
    of_old = {name: added.model_dump(mode="json")[name] for name in ("use_case", "version", "arrived_at", "sha256")}
    of_old |= {"file_name": "data.csv", "size_bytes": file.stat().st_size, "rows": 2, "source": "loans.csv"}
    of_old |= {"columns": credit_risk.raw_columns}
    lake.put("raw/credit_risk/version=1/manifest.json", json.dumps(of_old).encode())

    read = Datasets(lake, credit_risk).get(1)
    assert read.model_dump(exclude={"files"}) == added.model_dump(exclude={"files"})
    assert read.files == (added.files[0].model_copy(update={"multiline": None}),)
    assert run() == ""
    assert published(snapshots).rows == 2


def test_rows_that_are_neither_valid_nor_quarantined_are_missed(
    run: RunJob, lake: Lake, snapshots: Snapshots, write_loans: WriteLoans, credit_risk: UseCase
) -> None:
    Datasets(lake, credit_risk).add(write_loans(*THREE_LOANS))
    for rows in (2, 4):
        change_manifest(lake, rows=rows)
        assert run() == (
            f"dataset version 1 of credit_risk has {rows} rows by its manifest; 3 were valid and 0 quarantined, which "
            "is 3. Remedy: run it again; if the numbers stay, export the file anew, each row on a line of its own, "
            "and add it"
        )
    assert snapshots.current() is None


def test_rows_are_counted_once_when_a_map_task_runs_again(
    run: RunJob,
    hive: SparkSession,
    *,
    tmp_path: Path,
    snapshots: Snapshots,
    write_loans: WriteLoans,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first task after the shuffle removes the shuffle's files: tasks that come later have the map tasks rerun."""
    shuffled = hive.conf.get("spark.local.dir")
    assert shuffled is not None
    lost = tmp_path / "lost"
    compute = compute_of("credit_risk")

    @F.udf("int")
    def losing(age: int) -> int:
        if not lost.exists():
            lost.touch()
            for file in Path(shuffled).rglob("shuffle_*"):
                file.unlink()
        return age

    def compute_and_lose(raw: DataFrame, run_date: dt.date) -> DataFrame:
        return compute(raw, run_date).withColumn("age", losing("age"))

    monkeypatch.setattr(features, "compute_of", lambda _: compute_and_lose)
    configure(hive, partitions=8)

    assert run(write_loans(*({"loan_id": n, "id": n} for n in range(100)))) == ""

    assert lost.exists()
    assert published(snapshots).quality.rows_read == published(snapshots).rows == 100


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
    assert lake.keys(snapshots.snapshot_key(snapshot_id("second"))) == []
    assert lake.keys(f"quarantine/credit_risk/snapshot={snapshot_id('second')}")


def test_no_row_left(run: RunJob, write_loans: WriteLoans) -> None:
    assert run(write_loans({"loan_id": 1, "status": 7})) == (
        "no row of credit_risk is left: 1 read, 1 quarantined: status: above maximum (1 rows). "
        "Remedy: correct the file and add it as a new dataset version"
    )


def test_a_dry_run_writes_nothing(
    run: RunJob, hive: SparkSession, root: Path, write_loans: WriteLoans, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run(write_loans(*THREE_LOANS))
    before, rows = files_of(root), table(hive, "credit_risk")

    assert run(run_id="second", dry=True) == ""

    assert (files_of(root), table(hive, "credit_risk")) == (before, rows)
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
    run: RunJob, hive: SparkSession, *, root: Path, snapshots: Snapshots, credit_risk: UseCase, write_loans: WriteLoans
) -> None:
    run(write_loans(*THREE_LOANS))
    before, current = table(hive, "credit_risk"), snapshots.current()
    damaged = (
        Datasets(snapshots.lake, credit_risk).add(write_loans(*THREE_LOANS, {"loan_id": 4}, name="more.csv")).keys[0]
    )

    for damage in (_shortened, _changed, _emptied, _removed, _made_a_directory):
        damage(root / damaged)
        failure = run(run_id="second")

        assert failure.startswith(damaged)
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
    run: RunJob, snapshots: Snapshots, lake: Lake, credit_risk: UseCase, write_loans: WriteLoans
) -> None:
    Datasets(lake, credit_risk).add(write_loans(*THREE_LOANS))
    change_manifest(lake, columns=[*credit_risk.raw_columns[:-1], "amount"])

    assert "has the wrong columns" in run()
    assert snapshots.current() is None


def test_an_unknown_use_case_or_dataset_is_said(run: RunJob, hive: SparkSession) -> None:
    assert run() == (
        "credit_risk has no dataset yet; there are: none. Remedy: add a file with `mlops data add credit_risk FILE`"
    )
    arguments = ["--use-case", "credit_risc", "--dataset-version", "0", "--run-id", "r", "--run-date", "2021-01-01"]
    failure = feature_job.failure_of(feature_job.parse(arguments), lambda _: hive)
    assert failure is not None
    assert failure.message.startswith("there is no use case 'credit_risc'. Remedy: did you mean 'credit_risk'?")
    assert failure.exit_code == 1


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
