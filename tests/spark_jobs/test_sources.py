"""Rows of several sources, in CSV and Parquet, with times, truth values and rules, through the whole job."""

import datetime as dt
import inspect
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.online_store import FeatureRow
from mlops_platform.online_store.published import published_store
from mlops_platform.use_case.spec import (
    Candidate,
    Feature,
    Label,
    QualityGate,
    RawColumn,
    Rule,
    Source,
    Split,
    UseCase,
)
from spark_jobs.feature_job import run_job
from spark_jobs.feature_run import FeatureRun
from spark_jobs.session import configure

VISITS = UseCase(
    name="visits",
    title="Visits",
    description="Does a visitor buy?",
    owner="nobody@example.com",
    row_key="visit",
    entity_key="visitor",
    event_time="began",
    sources=(
        Source(name="shop", label=1, missing=("NA", "-")),
        Source(name="fair", label=0, lacks=("spent",)),
        Source(name="street", lacks=("spent",)),
    ),
    raw=(
        RawColumn(name="visit", arrives_as="", type="int", meaning="the visit"),
        RawColumn(name="visitor", arrives_as="Who", type="string", meaning="the visitor"),
        RawColumn(name="began", arrives_as="Began at", type="timestamp", meaning="when it began"),
        RawColumn(name="born", type="date", nullable=True, meaning="date of birth"),
        RawColumn(name="member", type="boolean", nullable=True, meaning="is a member"),
        RawColumn(name="spent", type="double", nullable=True, minimum=0, meaning="money"),
    ),
    rules=(
        Rule(name="born before the visit", condition="born < began"),
        Rule(name="members spend", condition="NOT member OR spent IS NULL OR spent > 0 -- or nothing is known"),
    ),
    features=(
        Feature(name="hour", type="int", minimum=0, maximum=23, meaning="of the day, in UTC", example=10),
        Feature(name="is_member", type="int", nullable=True, meaning="1 for members", example=1),
        Feature(name="spent", type="double", nullable=True, meaning="money", example=7.5),
    ),
    label=Label(name="buys", meaning="the visitor buys", positive="buys", negative="does not"),
    split=Split(by="time", holdout_fraction=0.2),
    candidates=(Candidate(family="logistic_regression"),),
    primary_metric="roc_auc",
    gate=QualityGate(),
    quarantine_limit=0.9,
)


IMPORTS = """
import datetime as dt
from pyspark.sql import DataFrame, functions as F
"""


def hours(raw: DataFrame, run_date: dt.date) -> DataFrame:
    member = F.col("member").cast("int").alias("is_member")
    return raw.select("visit", "visitor", "began", F.hour("began").alias("hour"), member, "spent", "buys")


SHOP = """"",Who,Began at,born,member,spent
1,ann,2020-03-01T10:00:00Z,1990-02-01,true,7.5
2,ann,2020-03-01 09:59:59.5,1990-02-01,no,NA
3,bob,2020-03-01T01:30:00+02:00,-,NA,-
4,cid,12:30,1990-02-01,maybe,1
5,dan,2020-03-01,2020-03-02,true,0
"""
STREET = '"",Who,Began at,born,member\n6,ann,2020-02-29 23:00,,\n'


at = dt.datetime.fromisoformat


@pytest.fixture
def lake(hive: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    folder = tmp_path / "use_cases" / "visits"
    folder.mkdir(parents=True)
    (folder / "spec.py").touch()
    (folder / "features.py").write_text(f"{IMPORTS}\n{inspect.getsource(hours)}\ncompute = hours\n", encoding="utf-8")
    monkeypatch.setenv("MLOPS_USE_CASES", str(folder.parent))
    configure(hive, partitions=2)
    return Lake(tmp_path / "lake")


def fair(*rows: dict[str, Any]) -> pa.Table:
    """Rows as pandas writes them: a whole number as a double, a day as a midnight."""
    ordinary = {"": 7.0, "Who": "eve", "Began at": at("2020-03-01 12:00"), "born": None, "member": True}
    kinds = [pa.float64(), pa.string(), pa.timestamp("us"), pa.timestamp("us"), pa.bool_()]
    schema = pa.schema(list(zip(ordinary, kinds, strict=True)))
    return pa.Table.from_pylist([ordinary | row for row in rows], schema=schema)


def ran(hive: SparkSession, lake: Lake, use_case: UseCase, table: pa.Table) -> SnapshotManifest:
    with lake.scratch() as folder:
        paths = [folder / name for name in ("shop.csv", "fair.parquet", "street.csv")]
        paths[0].write_text(SHOP, encoding="utf-8")
        pq.write_table(table, paths[1])
        paths[2].write_text(STREET, encoding="utf-8")
        dataset = Datasets(lake, use_case).add(*paths)
    return run_job(FeatureRun(use_case, dataset, "r", dt.date(2021, 1, 1)), lake, 2, lambda _: hive)


def test_rows_of_all_sources_are_judged_alike(hive: SparkSession, lake: Lake, tmp_path: Path) -> None:
    midnight, no_day = at("1980-02-29"), at("1980-02-29 07:00")
    manifest = ran(
        hive,
        lake,
        VISITS,
        fair(
            {"born": midnight}, {"": 8.0, "born": no_day}, {"": 9.5, "Who": ""}, {"": 1e30}, {"": 10.0, "member": None}
        ),
    )

    rows = hive.sql("SELECT visit, visitor, hour, is_member, spent, buys, is_latest FROM features.visits_current")
    assert sorted(tuple(row) for row in rows.collect()) == [
        (1, "ann", 10, 1, 7.5, 1, 1),
        (2, "ann", 9, 0, None, 1, 0),
        (3, "bob", 23, None, None, 1, 1),
        (6, "ann", 23, None, None, None, 0),
        (7, "eve", 12, 1, None, 0, 0),
        (10, "eve", 12, None, None, 0, 1),
    ]
    assert [(finding.rule, finding.rows) for finding in manifest.quality.findings] == [
        ("visit: no int", 2),
        ("began: no timestamp", 1),
        ("born before the visit", 1),
        ("born: no date", 1),
        ("member: no boolean", 1),
        ("members spend", 1),
        ("visitor: missing", 1),
    ]
    quarantined = ds.dataset(tmp_path / "lake" / str(manifest.quarantine_path), format="parquet").to_table().to_pylist()
    assert {row["visit"]: row["reasons"] for row in quarantined}["5"] == ["born before the visit", "members spend"]
    assert next(row for row in quarantined if row["visit"] == "4") == {
        "visit": "4",
        "visitor": "cid",
        "began": "12:30",
        "born": "1990-02-01",
        "member": "maybe",
        "spent": "1",
        "buys": "1",
        "reasons": ["began: no timestamp", "member: no boolean"],
    }
    with published_store(lake, manifest) as store:
        assert store.get_many(["ann", "bob"]) == [
            FeatureRow("ann", dt.date(2020, 3, 1), {"hour": 10, "is_member": 1, "spent": 7.5}),
            FeatureRow("bob", dt.date(2020, 2, 29), {"hour": 23, "is_member": None, "spent": None}),
        ]


@pytest.mark.parametrize("condition", ["born <", "borne < began", "spent + 1", "count(*) > 1"])
def test_a_rule_that_is_no_condition_is_named_before_anything_is_written(
    hive: SparkSession, lake: Lake, condition: str, tmp_path: Path
) -> None:
    wrong = VISITS.model_copy(update={"rules": (Rule(name="sound", condition=condition),)})

    with pytest.raises(PlatformError) as caught:
        ran(hive, lake, wrong, fair({}))

    assert caught.value.what.startswith("the rule 'sound' of visits is no condition over its raw columns: [")
    assert caught.value.remedy == f"correct it in {tmp_path}/use_cases/visits/spec.py"
    assert lake.keys("features/visits") == []
