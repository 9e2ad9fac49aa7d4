"""What an attempt wrote, read back without Spark."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.use_case.spec import ColumnType, UseCase
from spark_jobs import written_features
from spark_jobs.written_features import Keys, WrittenFeatures

DAY = dt.date(2020, 1, 1)
FIRST = [(1, 100, 0), (2, 100, 1), (3, 9, 1), (4, 10, 1)]
SECOND = [(5, 1000, 1), (6, 99, 0), (7, 99, 1)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def written(lake: Lake, credit_risk: UseCase) -> WrittenFeatures:
    """Two files of rows of (loan, customer, is it the latest)."""
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in credit_risk.feature_table])
    constant = dict.fromkeys((name for name, _ in credit_risk.feature_table), 1) | {"loan_date": DAY}
    for number, rows in enumerate((FIRST, SECOND)):
        table = pa.Table.from_pylist(
            [constant | {"loan_id": loan, "id": who, "age": loan, "is_latest": latest} for loan, who, latest in rows],
            schema,
        )
        with lake.scratch() as folder:
            pq.write_table(table, folder / "part.parquet")
            lake.add(f"features/part-{number}.parquet", folder / "part.parquet")
    return WrittenFeatures(lake, "features", credit_risk)


@pytest.mark.parametrize("rows_per_run", [1, 2, 100])
def test_the_latest_rows_come_in_the_order_of_their_ids_bytes(
    written: WrittenFeatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_run: int
) -> None:
    monkeypatch.setattr(written_features, "_ROWS_PER_RUN", rows_per_run)

    rows = list(written.latest(tmp_path))

    assert [(row.entity_id, row.features["age"]) for row in rows] == [
        ("10", 4),
        ("100", 2),
        ("1000", 5),
        ("9", 3),
        ("99", 7),
    ]
    assert {row.feature_date for row in rows} == {DAY}


# of the customers, 9 has two latest rows and 10 has none; the loans 2 and -5 occur twice, each in two files
KEYS: list[list[tuple[int, int, int | None]]] = [
    [(1, 7, 1), (2, 9, 1), (-5, 9, 1)],
    [(2, 10, 0), (-5, 10, None), (6, 11, 1)],
]


@pytest.mark.parametrize("rows_per_bucket", [1, 2, 100])
@pytest.mark.parametrize("kind", ["long", "string"])
def test_keys_are_counted_in_whichever_buckets_they_are(
    credit_risk: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, rows_per_bucket: int, kind: ColumnType
) -> None:
    monkeypatch.setattr(written_features, "_ROWS_PER_BUCKET", rows_per_bucket)
    raw = [c.model_copy(update={"type": kind}) if c.name in ("loan_id", "id") else c for c in credit_risk.raw]
    use_case = credit_risk.model_copy(update={"raw": tuple(raw)})
    # Spark writes a column that cannot be null as one that must not be
    schema = pa.schema(
        [pa.field(name, ARROW_TYPES[kind], nullable=name != "loan_id") for name, kind in use_case.feature_table]
    )
    key = int if kind == "long" else str
    for number, rows in enumerate(KEYS):
        written = [{"loan_id": key(loan), "id": key(who), "is_latest": latest} for loan, who, latest in rows]
        file = tmp_path / "lake" / "features" / f"part-{number}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(written, schema), file)

    keys = WrittenFeatures(Lake(tmp_path / "lake"), "features", use_case).count_keys(tmp_path)

    assert keys == Keys(repeated=2, entities=4, unclear=2)
    assert list(tmp_path.glob("*.arrow")) == []


def test_files_that_do_not_fit_are_refused(written: WrittenFeatures, credit_risk: UseCase, lake: Lake) -> None:
    good = Keys(repeated=0, entities=5, unclear=0)
    written.check(7, good)
    with pytest.raises(SnapshotError, match="has 7 rows of 8 valid ones"):
        written.check(8, good)
    with pytest.raises(SnapshotError, match="marks none or several rows as the latest of 2 of 5 entities"):
        written.check(7, Keys(repeated=0, entities=5, unclear=2))
    narrower = credit_risk.model_copy(update={"features": credit_risk.features[:-1]})
    with pytest.raises(SnapshotError, match=r"has the columns loan_id int64, .*, its spec says loan_id int64, "):
        WrittenFeatures(lake, "features", narrower).check(7, good)
