from dataclasses import replace

import numpy as np
import pytest

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Split
from training.dataset import Dataset
from training.split import Sides, split


def dataset(days: list[int] | None, labels: list[int], entities: list[int] | None = None) -> Dataset:
    rows = len(labels)
    return Dataset(
        inputs=np.zeros((rows, 1)),
        label=np.array(labels),
        classes=("0", "1"),
        entity=np.array(entities if entities is not None else range(rows)),
        event_day=None if days is None else np.array(days, dtype="datetime64[D]"),
    )


def test_the_holdout_is_the_last_days_in_whatever_order_the_rows_come() -> None:
    sides = split(dataset([5, 1, 4, 2, 3], [1, 0, 0, 1, 0]), Split(by="time", holdout_fraction=0.4), seed=1)
    assert (sides.training.tolist(), sides.holdout.tolist()) == ([1, 3, 4], [0, 2])


def test_a_day_is_not_torn_apart() -> None:
    # a fifth would be one row, but three rows are of the last day
    sides = split(dataset([1, 2, 3, 3, 3], [1, 0, 0, 1, 0]), Split(by="time", holdout_fraction=0.2), seed=1)
    assert (sides.training.tolist(), sides.holdout.tolist()) == ([0, 1], [2, 3, 4])


def test_by_time_an_entity_of_the_holdout_is_not_learnt_from() -> None:
    rows = dataset([1, 2, 3, 4, 5, 6], [1, 0, 1, 0, 1, 0], entities=[1, 2, 3, 4, 3, 2])
    sides = split(rows, Split(by="time", holdout_fraction=0.3, entities_apart=True), seed=1)
    assert (sides.training.tolist(), sides.holdout.tolist()) == ([0, 3], [4, 5])


def test_at_random_each_class_gives_its_share_and_the_seed_decides() -> None:
    rows = dataset(None, [1] * 20 + [0] * 80)
    rule = Split(by="random", holdout_fraction=0.25)
    sides = split(rows, rule, seed=1)
    assert (len(sides.holdout), rows.label[sides.holdout].sum()) == (25, 5)
    assert sorted([*sides.training, *sides.holdout]) == list(range(100))
    assert split(rows, rule, seed=1).holdout.tolist() == sides.holdout.tolist()
    assert split(rows, rule, seed=2).holdout.tolist() != sides.holdout.tolist()


def test_at_random_no_entity_is_on_both_sides() -> None:
    entities = [row % 10 for row in range(100)]
    rows = dataset(None, [int(row % 3 == 0) for row in range(100)], entities)
    sides = split(rows, Split(by="random", holdout_fraction=0.3, entities_apart=True), seed=1)
    assert set(rows.entity[sides.training]) & set(rows.entity[sides.holdout]) == set()
    assert len(sides.holdout) == 30
    assert len(sides.training) == 70


def sides_of(values: np.ndarray, sides: Sides) -> tuple[set[int], set[int]]:
    return set(values[sides.training]), set(values[sides.holdout])


def test_at_random_duplicates_are_never_on_both_sides() -> None:
    alike = np.array([row // 2 for row in range(100)])  # pairs, of which some have both labels
    rows = replace(dataset(None, [int(row % 3 == 0) for row in range(100)]), alike=alike)
    sides = split(rows, Split(by="random", holdout_fraction=0.3), seed=1)
    training, holdout = sides_of(alike, sides)
    assert training & holdout == set()
    assert training | holdout == set(range(50))
    assert (len(sides.training), len(sides.holdout)) == (70, 30)


def test_at_random_neither_duplicates_nor_entities_are_on_both_sides() -> None:
    alike = np.array([row if row < 90 else row - 90 for row in range(100)])  # ten rows are those of ten other entities
    rows = replace(
        dataset(None, [int(row % 3 == 0) for row in range(100)], [row // 5 for row in range(100)]), alike=alike
    )
    sides = split(rows, Split(by="random", holdout_fraction=0.3, entities_apart=True), seed=1)
    for values in (alike, rows.entity):
        training, holdout = sides_of(values, sides)
        assert training & holdout == set()
    assert len(sides.training) + len(sides.holdout) == 100
    assert 20 <= len(sides.holdout) <= 40


@pytest.mark.parametrize(
    ("days", "labels", "message"),
    [
        ([1, 1, 1], [0, 1, 0], "the training part has 0 rows (0: 0, 1: 0)"),
        ([1, 2, 3, 4], [0, 1, 0, 0], "the holdout has 1 rows (0: 1, 1: 0)"),
    ],
)
def test_a_side_without_both_classes_is_refused(days: list[int], labels: list[int], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        split(dataset(days, labels), Split(by="time", holdout_fraction=0.25), seed=1)
    assert str(caught.value) == (
        f"{message}; each class is needed. Remedy: give more data, or another split or holdout_fraction in the use case"
    )
