import datetime as dt
from pathlib import Path

import lmdb
import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.online_store import FeatureRow, embedded
from mlops_platform.online_store.embedded import EmbeddedStore, build
from mlops_platform.online_store.encoded import cut, encode
from tests.mlops_platform.online_store.contract import OnlineStoreContract
from tests.mlops_platform.online_store.publishers import InFiles

DAY = dt.date(2020, 12, 30)


def row(entity_id: str, age: int | None = 31) -> FeatureRow:
    return FeatureRow(entity_id, DAY, {"age": age, "amount": 153.12, "car": "Y"})


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    build(tmp_path / "a.lmdb", [row("7"), row("10", None), row("9"), FeatureRow("é", None, {"age": 1})])
    return EmbeddedStore(tmp_path / "a.lmdb", "a")


class TestEmbedded(OnlineStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def publisher(cls, tmp_path_factory: pytest.TempPathFactory) -> InFiles:
        return InFiles(tmp_path_factory.mktemp("online"))


def test_ids_may_be_any_text_and_are_counted(store: EmbeddedStore) -> None:
    assert store.get("é") == FeatureRow("é", None, {"age": 1})
    assert (store.snapshot, len(store)) == ("a", 4)


def test_a_raw_answer_is_the_json_that_is_sent(store: EmbeddedStore) -> None:
    assert store.get_raw(b"10") == b'{"feature_date":"2020-12-30","features":{"age":null,"amount":153.12,"car":"Y"}}'


def test_the_encoded_rows_are_in_the_order_of_their_keys(store: EmbeddedStore) -> None:
    expected = [row("10", None), row("7"), row("9"), FeatureRow("é", None, {"age": 1})]
    assert list(store.encoded_rows()) == [(known.entity_id.encode(), encode(known)) for known in expected]


def test_a_value_is_cut_out_as_it_was_written(store: EmbeddedStore) -> None:
    value, undated = store.get_raw(b"7"), store.get_raw("é".encode())
    assert value is not None
    assert undated is not None
    day, features = cut(value)
    assert day == b"2020-12-30"
    assert b'{"feature_date":"2020-12-30","features":' + features + b"}" == encode(row("7"))
    assert cut(undated) == (None, b'{"age":1}')


@pytest.mark.parametrize("step", [1, -1])
def test_the_background_is_the_same_whatever_order_the_rows_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(embedded, "_WRITES_PER_TRANSACTION", 99)
    rows = [row(str(5_000_000 + number), number) for number in range(1000)]
    build(tmp_path / "a.lmdb", rows[::step])
    store = EmbeddedStore(tmp_path / "a.lmdb", "a")
    background = store.background
    assert [found.entity_id for found in background[:3]] == ["5000606", "5000766", "5000948"]
    assert (len(background), len({found.entity_id for found in background})) == (50, 50)
    assert [store.get(found.entity_id) for found in background] == background
    # from everywhere: half of them are expected below the middle
    assert 15 < sum(1 for found in background if int(found.entity_id) < 5_000_500) < 35


def test_a_small_store_is_its_own_background_which_is_no_row_of_it(store: EmbeddedStore) -> None:
    ids = {"7", "9", "10", "é"}
    assert {found.entity_id for found in store.background} == ids
    assert (len(store), {key.decode() for key, _ in store.encoded_rows()}, set(store.sample(9))) == (4, ids, ids)


def test_a_store_of_before_there_was_a_background_is_walked_through(tmp_path: Path) -> None:
    """Such as the platform built until its first change of layout: ids and nothing else."""
    path, rows = tmp_path / "old.lmdb", [row(f"{number:03}") for number in range(100)]
    with (
        lmdb.open(str(path), subdir=False, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for known in rows:
            transaction.put(known.entity_id.encode(), encode(known))
    store = EmbeddedStore(path, "old")
    assert (len(store), len(list(store.encoded_rows()))) == (100, 100)
    assert store.background == rows[::2]


def test_a_store_without_rows_has_no_background(tmp_path: Path) -> None:
    assert build(tmp_path / "a.lmdb", []) == 0
    store = EmbeddedStore(tmp_path / "a.lmdb", "a")
    assert (len(store), store.background, store.sample(3), list(store.encoded_rows())) == (0, [], [], [])


def test_a_sample_is_spread_over_the_ids(store: EmbeddedStore) -> None:
    assert store.sample(2) == ["10", "9"]
    assert store.sample(9) == ["10", "7", "9", "é"]
    assert store.sample(0) == []


@pytest.mark.parametrize("step", [1, -1])
def test_rows_may_come_in_any_order_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(embedded, "_WRITES_PER_TRANSACTION", 7)
    monkeypatch.setattr(embedded, "_BYTES_AT_FIRST", 8192)  # grows several times
    ids = sorted(str(number) for number in range(500))[::step]

    assert build(tmp_path / "a.lmdb", map(row, ids)) == 500

    assert EmbeddedStore(tmp_path / "a.lmdb", "a").get_many(ids) == [row(entity_id) for entity_id in ids]


def test_two_rows_of_one_entity_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError) as error:
        build(tmp_path / "a.lmdb", [row("7"), row("8"), row("7", 5)])

    assert error.value.what == "3 latest rows are of 2 entities"
    assert list(tmp_path.iterdir()) == []


def test_an_id_too_long_for_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"the entity id 'x{40}'… has 512 bytes; an id may have 511"):
        build(tmp_path / "a.lmdb", [row("x" * 512)])


def test_a_build_that_fails_leaves_the_file_of_before(tmp_path: Path) -> None:
    build(tmp_path / "a.lmdb", [row("7")])
    reader = EmbeddedStore(tmp_path / "a.lmdb", "a")

    def broken() -> object:
        yield row("7", 99)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        build(tmp_path / "a.lmdb", broken())  # type: ignore[arg-type]

    assert [path.name for path in tmp_path.iterdir()] == ["a.lmdb"]
    assert reader.get("7") == row("7")


def test_an_open_reader_keeps_its_rows_when_the_file_is_replaced(tmp_path: Path) -> None:
    build(tmp_path / "a.lmdb", [row("7", 1)])
    reader = EmbeddedStore(tmp_path / "a.lmdb", "a")

    build(tmp_path / "a.lmdb", [row("7", 2)])

    assert reader.get("7") == row("7", 1)


def test_a_missing_or_damaged_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"is missing\. Remedy: run the features DAG again"):
        EmbeddedStore(tmp_path / "a.lmdb", "a")
    (tmp_path / "a.lmdb").write_bytes(b"no store" * 1000)
    with pytest.raises(SnapshotError, match="is no online store"):
        EmbeddedStore(tmp_path / "a.lmdb", "a")
