"""The job knows nothing of credit: a use case without event time, whose rows are its entities."""

import datetime as dt
import inspect
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.online_store import FeatureRow
from mlops_platform.online_store.published import published_store
from mlops_platform.use_case.spec import Candidate, Feature, Label, QualityGate, RawColumn, Split, UseCase
from spark_jobs import features
from spark_jobs.feature_job import run_job
from spark_jobs.feature_run import FeatureRun
from spark_jobs.session import configure
from spark_jobs.transform import compute_of

PASSENGERS = UseCase(
    name="passengers",
    title="Passengers",
    description="Who lives?",
    owner="nobody@example.com",
    row_key="Ticket",
    entity_key="Ticket",
    raw=(
        RawColumn(name="Ticket", type="string", meaning="the passenger"),
        RawColumn(name="Name", type="string", meaning="the name"),
        RawColumn(name="Fare", type="double", nullable=True, meaning="the fare"),
        RawColumn(name="survived", type="int", minimum=0, maximum=1, meaning="lived"),
    ),
    features=(
        Feature(name="fare", type="double", nullable=True, meaning="the fare", example=7.25),
        Feature(name="initial", type="string", meaning="of the name", allowed=("A", "B"), example="A"),
    ),
    label=Label(name="survived", meaning="lived", positive="lived", negative="died"),
    split=Split(by="random", holdout_fraction=0.2),
    candidates=(Candidate(family="logistic_regression"),),
    primary_metric="roc_auc",
    gate=QualityGate(),
    quarantine_limit=0.7,
)


IMPORTS = """
import datetime as dt
from pyspark.sql import DataFrame, functions as F
"""


def initials(raw: DataFrame, run_date: dt.date) -> DataFrame:
    return raw.select(
        "Ticket",
        F.col("Fare").alias("fare"),
        F.left("Name", F.lit(1)).alias("initial"),
        "survived",
    )


def passengers(lake: Lake, *lines: str) -> FeatureRun:
    """A run on these lines below the header."""
    with lake.scratch() as folder:
        file = folder / "passengers.csv"
        file.write_text("\n".join(["Ticket,Name,Fare,survived", *lines]) + "\n", encoding="utf-8")
        return FeatureRun(PASSENGERS, Datasets(lake, PASSENGERS).add(file), "r", dt.date(2021, 1, 1))


def test_without_event_time_and_with_rows_that_are_entities(
    hive: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "use_cases" / "passengers"
    folder.mkdir(parents=True)
    (folder / "spec.py").touch()
    (folder / "features.py").write_text(f"{IMPORTS}\n{inspect.getsource(initials)}\ncompute = initials\n")
    monkeypatch.setenv("MLOPS_USE_CASES", str(folder.parent))
    long = "l" * 512
    configure(hive, partitions=2)
    lake = Lake(tmp_path / "lake")
    run = passengers(
        lake,
        'C 17,"Allen, Mr. ""Al""",7.25,1',
        'b/2,"Brown, Ann",,0',
        "9,Czerny,1,0",
        ",Dee,1,0",
        f"{long},Adams,1,0",
        f"{long[1:]},Adams,1,0",
        "a\x1fb,Adams,1,0",
        "é\x85,Adams,1,0",
    )

    manifest = run_job(run, lake, 2, lambda _: hive)

    rows = hive.sql("SELECT * FROM features.passengers_latest ORDER BY ticket").collect()
    assert [tuple(row)[:-1] for row in rows] == [
        ("C 17", 7.25, "A", 1),
        ("b/2", None, "B", 0),
        (long[1:], 1.0, "A", 0),
    ]
    with published_store(lake, manifest) as store:
        stored = store.get_many(["b/2", "C 17"])
    assert stored == [
        FeatureRow("b/2", None, {"fare": None, "initial": "B"}),
        FeatureRow("C 17", None, {"fare": 7.25, "initial": "A"}),
    ]
    assert [(finding.rule, finding.rows) for finding in manifest.quality.findings] == [
        ("Ticket: no id", 3),
        ("Ticket: missing", 1),
        ("initial: not allowed", 1),
    ]


def test_a_transform_must_return_the_columns_of_the_spec(
    hive: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "compute_of", lambda _: lambda raw, _: raw.select("Ticket", "survived"))
    lake = Lake(tmp_path / "lake")

    with pytest.raises(PlatformError) as error:
        run_job(passengers(lake, "C 17,Allen,7.25,1"), lake, 2, lambda _: hive)

    assert str(error.value) == (
        "compute() of passengers returns Ticket STRING, survived INT; its spec says Ticket STRING, fare DOUBLE, "
        "initial STRING, survived INT. Remedy: correct use_cases/passengers/features.py, or the spec"
    )
    assert Snapshots(lake, "passengers").current() is None


def test_each_entity_must_have_one_latest_row(
    hive: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_one_key(raw: DataFrame, day: dt.date) -> DataFrame:
        return initials(raw, day).withColumn("Ticket", F.lit("C 17"))

    monkeypatch.setattr(features, "compute_of", lambda _: of_one_key)
    lake = Lake(tmp_path / "lake")

    with pytest.raises(SnapshotError) as error:
        run_job(passengers(lake, "C 17,Allen,7.25,1", "9,Brown,1,0"), lake, 2, lambda _: hive)

    assert str(error.value) == (
        "what was computed for passengers marks none or several rows as the latest of 1 of 1 entities. Remedy: correct "
        "use_cases/passengers/features.py: one row per raw row, its keys as they are"
    )


def test_a_use_case_without_transform_is_said() -> None:
    with pytest.raises(PlatformError, match=r"write .*/use_cases/passengers/features\.py: compute\(raw, run_date\)"):
        compute_of("passengers")
