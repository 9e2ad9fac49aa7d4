"""One contract for every online store, held against the real thing.

The Hive adapter is held where ``MLOPS_TEST_HIVESERVER2_PORT`` names a HiveServer2 that these tests may make tables in.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_platform.hive_tables import DATABASE
from mlops_platform.online_store import FeatureRow, OnlineStore
from mlops_platform.online_store.embedded import EmbeddedStore, build, encode
from mlops_platform.online_store.hive import HiveStore, HiveUnavailable, run_query
from mlops_platform.use_case import UseCase

SNAPSHOT = "contract"
HIVE_PORT = os.environ.get("MLOPS_TEST_HIVESERVER2_PORT")
NAMES = ("age", "years_on_the_job", "nb_previous_loans", "avg_amount_loans_previous", "flag_own_car")


def row(entity_id: str, day: str, *values: float | None) -> FeatureRow:
    return FeatureRow(entity_id, dt.date.fromisoformat(day), dict(zip(NAMES, values, strict=True)))


ROWS = (
    row("5008804", "2020-11-02", 31, 12, 9, 153.12, 1),
    row("5008805", "2019-02-28", 67, None, 0, None, None),
    row("5008806", "2020-12-30", 45, 0, 40, 0.1 + 0.2, 0),
)


def embedded(folder: Path, credit_risk: UseCase) -> OnlineStore:
    path = folder / "store.lmdb"
    build(path, ROWS)
    return EmbeddedStore(path, SNAPSHOT)


def hive(folder: Path, credit_risk: UseCase) -> OnlineStore:
    port = int(str(HIVE_PORT))
    use_case = credit_risk.model_copy(update={"name": "online_store_contract"})
    values = " UNION ALL ".join(
        f"SELECT CAST({r.entity_id} AS BIGINT) AS id, DATE'{r.feature_date}' AS loan_date, "
        + ", ".join(
            f"CAST({literal(r.features[name])} AS {kind}) AS {name}" for name, kind in zip(NAMES, TYPES, strict=True)
        )
        + f", '{SNAPSHOT}' AS snapshot"
        for r in ROWS
    )
    run_query("127.0.0.1", port, f"CREATE DATABASE IF NOT EXISTS {DATABASE}", {})
    run_query("127.0.0.1", port, f"DROP TABLE IF EXISTS {DATABASE}.online_store_contract", {})
    run_query("127.0.0.1", port, f"CREATE TABLE {DATABASE}.online_store_contract STORED AS PARQUET AS {values}", {})
    table = f"{DATABASE}.online_store_contract"
    view = f"CREATE OR REPLACE VIEW {table}_latest AS SELECT * FROM {table}"
    run_query("127.0.0.1", port, view, {})
    return HiveStore("127.0.0.1", port, use_case)


TYPES = ("INT", "INT", "INT", "DOUBLE", "INT")


def literal(value: object) -> str:
    return "NULL" if value is None else f"'{value!r}'" if isinstance(value, float) else str(value)


ADAPTERS: dict[str, Callable[[Path, UseCase], OnlineStore]] = {
    "embedded": embedded,
    **({"hive": hive} if HIVE_PORT else {}),
}


@pytest.fixture(params=sorted(ADAPTERS), scope="module")
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, credit_risk: UseCase
) -> Iterator[OnlineStore]:
    opened = ADAPTERS[request.param](tmp_path_factory.mktemp("store"), credit_risk)
    yield opened
    opened.close()


def test_it_names_its_snapshot(store: OnlineStore) -> None:
    assert store.snapshot == SNAPSHOT


@pytest.mark.parametrize("expected", ROWS, ids=lambda r: r.entity_id)
def test_a_row_comes_back_bit_for_bit_in_the_specs_order(store: OnlineStore, expected: FeatureRow) -> None:
    found = store.get(expected.entity_id)
    assert found == expected
    assert tuple(found.features) == NAMES
    assert [type(value) for value in found.features.values()] == [type(value) for value in expected.features.values()]


@pytest.mark.parametrize(
    "entity_id", ["1", "50088041", "500880", "", "abc", "05008804", "5008804 OR 1=1", "5008804' --"]
)
def test_an_id_that_is_not_there_is_a_miss(store: OnlineStore, entity_id: str) -> None:
    assert store.get(entity_id) is None


def test_many_are_answered_in_the_order_asked_for(store: OnlineStore) -> None:
    assert store.get_many(["5008806", "1", "5008804", "5008806"]) == [ROWS[2], None, ROWS[0], ROWS[2]]
    assert store.get_many([]) == []


def test_a_value_is_cut_out_of_the_embedded_store_as_it_was_written(tmp_path: Path) -> None:
    undated = FeatureRow("7", None, {"age": 1})
    build(tmp_path / "store.lmdb", [ROWS[0], undated])
    store = EmbeddedStore(tmp_path / "store.lmdb", SNAPSHOT)
    dated = store.get_parts(b"5008804")
    assert dated is not None
    assert (dated[0], b'{"feature_date":"2020-11-02","features":' + dated[1] + b"}") == (b"2020-11-02", encode(ROWS[0]))
    assert store.get_parts(b"7") == (None, b'{"age":1}')
    assert store.get_parts(b"8") is None


def test_spread_ids_reach_from_the_first_on(tmp_path: Path) -> None:
    build(tmp_path / "store.lmdb", (FeatureRow(str(5_000_000 + n), None, {}) for n in range(1000)))
    store = EmbeddedStore(tmp_path / "store.lmdb", SNAPSHOT)
    found = [int(entity_id) for entity_id in store.spread(10)]
    assert (found[0], found == sorted(set(found)), len(found) > 5, found[-1] > 5_000_800) == (
        5_000_000,
        True,
        True,
        True,
    )


def test_hive_that_is_down_says_so(credit_risk: UseCase) -> None:
    with pytest.raises(HiveUnavailable, match=r"HiveServer2 at 127\.0\.0\.1:1 did not answer"):
        HiveStore("127.0.0.1", 1, credit_risk).get("5008804")
