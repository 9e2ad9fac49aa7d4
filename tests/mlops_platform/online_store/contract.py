"""What every online store answers, held by the same tests against each adapter's real server.

An adapter's tests are a class that inherits :class:`OnlineStoreContract` and has a class-scoped fixture ``publisher``.
"""

import datetime as dt
import threading
from collections.abc import Iterator, Sequence
from typing import Protocol

import pytest

from mlops_platform.online_store import FeatureRow, OnlineStore
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import Feature

FIRST, SECOND = "first", "second_2026-01-02"
PATIENCE_SECONDS = 120

SPEC = get_use_case("credit_risk").model_copy(
    update={
        "name": "online_store_contract",
        "features": (
            Feature(name="whole", type="int", nullable=True, example=1, meaning="a whole number"),
            Feature(name="real", type="double", nullable=True, example=1.5, meaning="a real number"),
            Feature(name="words", type="string", nullable=True, example="a", meaning="a text"),
        ),
    }
)


def row(entity_id: str, day: str | None, whole: int | None, real: float | None, words: str | None) -> FeatureRow:
    date = None if day is None else dt.date.fromisoformat(day)
    return FeatureRow(entity_id, date, {"whole": whole, "real": real, "words": words})


ROWS = (
    row("5008804", "2020-11-02", 31, 153.12, "Working"),
    row("5008805", "2019-02-28", None, None, None),
    row("5008806", None, 0, 0.1 + 0.2, ""),
    row("50088061", "2020-02-29", 1, 1.0, "5008806"),
    row("0", "1970-01-01", 0, 0.0, "null"),
    row("-7", "9999-12-31", -1, -0.0, 'it\'s "quoted" \\ and\nbroken\tup'),
    row("9223372036854775807", "1900-01-01", 2_147_483_647, 1.7976931348623157e308, "Łódź 中文 🙂 é e\u0301"),
    row("-9223372036854775808", "2020-12-30", -2_147_483_648, 5e-324, "{\"a\": [1, '}']}"),
)
OTHER_ROWS = tuple(row(known.entity_id, "2021-01-01", 77, 7.5, "other") for known in ROWS[:4])
IDS = [known.entity_id for known in ROWS]


class Publisher(Protocol):
    """One adapter and its server."""

    def publish(self, snapshot: str, rows: Sequence[FeatureRow]) -> None:
        """Make this the published snapshot of ``SPEC``."""
        ...

    def open(self) -> OnlineStore:
        """A store that answers from the published snapshot."""
        ...


class OnlineStoreContract:
    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, publisher: Publisher) -> Iterator[OnlineStore]:
        """Answers from ``ROWS``."""
        publisher.publish(FIRST, ROWS)
        store = publisher.open()
        yield store
        store.close()

    @pytest.fixture
    def publishing(self, publisher: Publisher) -> Iterator[Publisher]:
        """For a test that publishes something else: what was published before is published again."""
        yield publisher
        publisher.publish(FIRST, ROWS)

    def test_it_names_its_snapshot(self, store: OnlineStore) -> None:
        assert store.snapshot == FIRST

    @pytest.mark.parametrize("expected", ROWS, ids=lambda known: known.entity_id)
    def test_a_row_comes_back_bit_for_bit(self, store: OnlineStore, expected: FeatureRow) -> None:
        # a repr tells 1 from 1.0, 0.0 from -0.0 and one order of the features from another
        assert repr(store.get(expected.entity_id)) == repr(expected)

    @pytest.mark.parametrize(
        "entity_id",
        [
            *("1", "500880", "50088041", "7"),
            *("", " ", "abc", "é", "\uff15008804", "None", "x" * 600),
            *("05008804", "+5008804", " 5008804", "5008804 ", "5008804.0", "5_008_804", "-0", "5008804\x00"),
            *("9223372036854775808", "99999999999999999999999999"),
            *("5008804 OR 1=1", "5008804' --", "*", "5008804\r\nGET x", "%(keys)s"),
        ],
    )
    def test_an_id_that_is_not_there_is_a_miss(self, store: OnlineStore, entity_id: str) -> None:
        assert store.get(entity_id) is None
        assert store.get_many([entity_id, "5008804", entity_id]) == [None, ROWS[0], None]

    def test_many_are_answered_in_the_order_asked_for(self, store: OnlineStore) -> None:
        assert store.get_many([*reversed(IDS)]) == [*reversed(ROWS)]
        assert store.get_many(["5008806", "1", "5008804", "5008806"]) == [ROWS[2], None, ROWS[0], ROWS[2]]

    def test_none_asked_for_is_none_answered(self, store: OnlineStore) -> None:
        assert store.get_many([]) == []

    def test_a_reader_sees_one_whole_snapshot_while_another_is_published(
        self, store: OnlineStore, publishing: Publisher
    ) -> None:
        answers: list[list[FeatureRow | None]] = []
        answered, done = threading.Event(), threading.Event()

        def read() -> None:
            while not done.is_set():
                answers.append(store.get_many(IDS))
                answered.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert answered.wait(PATIENCE_SECONDS)
            publishing.publish(SECOND, OTHER_ROWS)
            answered.clear()
            assert answered.wait(PATIENCE_SECONDS)
        finally:
            done.set()
            reader.join()
        first, second = list(ROWS), [*OTHER_ROWS, *[None] * (len(ROWS) - len(OTHER_ROWS))]
        assert [answer for answer in answers if answer not in (first, second)] == []

    def test_what_is_opened_next_answers_from_the_new_snapshot(self, publishing: Publisher) -> None:
        publishing.publish(SECOND, OTHER_ROWS)
        store = publishing.open()
        try:
            assert (store.snapshot, store.get_many(IDS[:5])) == (SECOND, [*OTHER_ROWS, None])
        finally:
            store.close()

    def test_a_closed_store_can_be_closed_again_and_opened_anew(self, publishing: Publisher) -> None:
        publishing.publish(SECOND, OTHER_ROWS)
        for _ in range(2):
            store = publishing.open()
            assert store.get("5008804") == OTHER_ROWS[0]
            store.close()
            store.close()
