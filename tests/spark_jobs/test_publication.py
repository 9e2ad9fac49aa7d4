"""Publication that is cut off at any step: readers see one whole snapshot, and a rerun ends well."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake import tables
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.online_store import FeatureRow, embedded
from mlops_platform.online_store.published import published_store
from mlops_platform.use_case.spec import Feature, UseCase
from spark_jobs.publication import publish

Attempt = Callable[..., SnapshotManifest]
STATEMENTS = 9  # database, table, partition added and placed, two views made and moved, and the table's columns read


class Killed(Exception):
    """The process ended here."""


class DyingSession:
    """A session whose process dies before the n-th thing it is asked."""

    def __init__(self, session: SparkSession, dies_before: int) -> None:
        self._session, self._left = session, dies_before

    def sql(self, statement: str) -> Any:
        self._step()
        return self._session.sql(statement)

    def table(self, name: str) -> Any:
        self._step()
        return self._session.table(name)

    def _step(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(Lake(tmp_path / "lake"), "credit_risk")


@pytest.fixture
def attempt_at(snapshots: Snapshots, credit_risk: UseCase) -> Attempt:
    """Claims a snapshot and writes all its files, of one loan with this id; returns the manifest to publish."""

    def build(snapshot: str, loan_id: int, use_case: UseCase = credit_risk) -> SnapshotManifest:
        attempt = snapshots.claim(snapshot)
        row: dict[str, Any] = {name: 1 for name, _ in use_case.feature_table}
        row |= {"loan_id": loan_id, "id": 7, "loan_date": dt.date(2020, 1, 1)}
        schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in use_case.feature_table])
        features, online = snapshots.features_key(snapshot, attempt), snapshots.online_key(snapshot, attempt)
        with snapshots.lake.scratch() as scratch:
            pq.write_table(pa.Table.from_pylist([row], schema), scratch / "part.parquet")
            snapshots.lake.add(f"{features}/part.parquet", scratch / "part.parquet")
            embedded.build(scratch / "online.lmdb", [FeatureRow("7", row["loan_date"], {"loan": loan_id})])
            snapshots.lake.add(online, scratch / "online.lmdb")
        return SnapshotManifest(
            snapshot=snapshot,
            use_case="credit_risk",
            attempt=attempt,
            dataset_version=loan_id,
            run_date=dt.date(2020, 1, 1),
            created_at=dt.datetime(2020, 1, loan_id, tzinfo=dt.UTC),
            spec_hash=use_case.spec_hash,
            rows=1,
            entities=1,
            features_path=features,
            online_path=online,
            quality=Quality(rows_read=1, rows_valid=1, rows_quarantined=0),
        )

    return build


def in_hive(session: SparkSession, view: str) -> list[tuple[str, int]]:
    rows = session.sql(f"SELECT snapshot, loan_id FROM features.{view}").collect()
    return sorted((row["snapshot"], row["loan_id"]) for row in rows)


def online(snapshots: Snapshots) -> tuple[str, Any]:
    current = snapshots.current()
    assert current is not None
    with published_store(snapshots.lake, current) as store:
        row = store.get("7")
    assert row is not None
    return current.snapshot, row.features["loan"]


@pytest.mark.parametrize("step", range(STATEMENTS + 1))
def test_killed_at_any_step_a_rerun_ends_well(
    hive: SparkSession, snapshots: Snapshots, attempt_at: Attempt, credit_risk: UseCase, step: int
) -> None:
    publish(hive, credit_risk, snapshots, attempt_at("a", 1), kept=3)
    second = attempt_at("b", 2)
    dying: Any = DyingSession(hive, step)

    if step < STATEMENTS:
        with pytest.raises(Killed):
            publish(dying, credit_risk, snapshots, second, kept=3)
    else:
        publish(dying, credit_risk, snapshots, second, kept=3)

    whole = ([("a", 1)], [("b", 2)])
    assert in_hive(hive, "credit_risk_current") in whole
    assert in_hive(hive, "credit_risk_latest") in whole
    assert online(snapshots) in (("a", 1), ("b", 2))

    publish(hive, credit_risk, snapshots, attempt_at("b", 2), kept=3)

    assert in_hive(hive, "credit_risk") == [("a", 1), ("b", 2)]
    assert in_hive(hive, "credit_risk_current") == in_hive(hive, "credit_risk_latest") == [("b", 2)]
    assert online(snapshots) == ("b", 2)
    assert len(snapshots.lake.folders(snapshots.snapshot_key("b"))) == 1


def test_killed_before_the_pointer_moves(
    hive: SparkSession,
    snapshots: Snapshots,
    attempt_at: Attempt,
    credit_risk: UseCase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(hive, credit_risk, snapshots, attempt_at("a", 1), kept=3)
    with monkeypatch.context() as patch:
        patch.setattr(Snapshots, "publish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            publish(hive, credit_risk, snapshots, attempt_at("b", 2), kept=3)

    assert in_hive(hive, "credit_risk_current") == [("b", 2)]
    assert online(snapshots) == ("a", 1)

    publish(hive, credit_risk, snapshots, attempt_at("b", 2), kept=3)

    assert in_hive(hive, "credit_risk_current") == [("b", 2)]
    assert online(snapshots) == ("b", 2)


def test_an_attempt_that_lost_its_claim_changes_nothing(
    hive: SparkSession, snapshots: Snapshots, attempt_at: Attempt, credit_risk: UseCase
) -> None:
    lost, holder = attempt_at("a", 1), attempt_at("a", 2)
    publish(hive, credit_risk, snapshots, holder, kept=3)

    with pytest.raises(SnapshotError) as error:
        publish(hive, credit_risk, snapshots, lost, kept=3)

    assert str(error.value) == (
        f"snapshot a of credit_risk is claimed by {holder.attempt}, not by {lost.attempt}. "
        "Remedy: nothing to do: a later attempt of the same run took over and publishes instead"
    )
    assert in_hive(hive, "credit_risk") == [("a", 2)]
    assert online(snapshots) == ("a", 2)


def test_a_new_feature_is_added_to_the_table(
    hive: SparkSession, snapshots: Snapshots, attempt_at: Attempt, credit_risk: UseCase
) -> None:
    publish(hive, credit_risk, snapshots, attempt_at("a", 1), kept=3)
    added = Feature(name="income", type="double", nullable=True, meaning="yearly income", example=1.0)
    wider = credit_risk.model_copy(update={"features": (added, *credit_risk.features)})

    publish(hive, wider, snapshots, attempt_at("b", 2, wider), kept=3)

    rows = hive.sql("SELECT snapshot, income, age FROM features.credit_risk ORDER BY snapshot").collect()
    assert [tuple(row) for row in rows] == [("a", None, 1), ("b", 1.0, 1)]
    assert [tuple(row) for row in hive.sql("SELECT income, age FROM features.credit_risk_latest").collect()] == [
        (1.0, 1)
    ]


def test_a_feature_of_another_type_is_refused(
    hive: SparkSession, snapshots: Snapshots, attempt_at: Attempt, credit_risk: UseCase
) -> None:
    publish(hive, credit_risk, snapshots, attempt_at("a", 1), kept=3)
    changed = tuple(f.model_copy(update={"type": "double"}) if f.name == "age" else f for f in credit_risk.features)
    other = credit_risk.model_copy(update={"features": changed})

    with pytest.raises(PlatformError) as error:
        publish(hive, other, snapshots, attempt_at("b", 2, other), kept=3)

    assert error.value.what == "features.credit_risk has age as INT, its spec says DOUBLE"
    assert in_hive(hive, "credit_risk_current") == [("a", 1)]
    assert online(snapshots) == ("a", 1)


def test_a_view_is_there_all_the_time(
    hive: SparkSession, snapshots: Snapshots, attempt_at: Attempt, credit_risk: UseCase
) -> None:
    publish(hive, credit_risk, snapshots, attempt_at("a", 1), kept=3)
    seen = []
    for statement in tables.move_views(credit_risk, "a"):
        hive.sql(statement)
        seen.append(in_hive(hive, "credit_risk_latest"))

    assert seen == [[("a", 1)]] * 4
    assert not any("REPLACE" in statement for statement in tables.move_views(credit_risk, "a"))
