"""Which rows a model learns from and which it is judged by. Decided before anything else looks at the data."""

from typing import NamedTuple

import numpy as np

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Split
from training.dataset import Dataset


class Sides(NamedTuple):
    """Positions of rows, ascending. With a split by time and entities apart, some rows are on neither side."""

    training: np.ndarray
    holdout: np.ndarray


def split(dataset: Dataset, rule: Split, seed: int) -> Sides:
    """Divide the rows by the use case's rule. Pure: the same dataset and seed give the same sides.

    By time, the holdout begins on a day and has every row from it on: a day is never torn apart, so it can hold more
    than ``holdout_fraction`` of the rows. At random, the draw is made within each class (or over entities, where those
    stay apart).

    Raises:
        ModelError: a side would have no rows, or rows of one class only.
    """
    holdout = _last_days(dataset, rule) if rule.by == "time" else _drawn(dataset, rule, seed)
    training = ~holdout
    if rule.by == "time" and rule.entities_apart:
        training &= ~np.isin(dataset.entity, dataset.entity[holdout])
    for side, chosen in (("training part", training), ("holdout", holdout)):
        positive = int(dataset.label[chosen].sum())
        if not 0 < positive < chosen.sum():
            raise ModelError(
                f"the {side} has {chosen.sum()} rows, {positive} of them positive; both classes are needed",
                remedy="give more data, or another split or holdout_fraction in the use case",
            )
    return Sides(np.flatnonzero(training), np.flatnonzero(holdout))


def _last_days(dataset: Dataset, rule: Split) -> np.ndarray:
    if dataset.event_day is None:
        raise ValueError("a split by time needs event days")
    days = np.sort(dataset.event_day)
    first = days[min(int(len(days) * (1 - rule.holdout_fraction)), len(days) - 1)]
    in_holdout: np.ndarray = dataset.event_day >= first
    return in_holdout


def _drawn(dataset: Dataset, rule: Split, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if rule.entities_apart:
        entities = np.unique(dataset.entity)
        return np.isin(dataset.entity, _part(entities, rule, generator))
    chosen = np.zeros(len(dataset), dtype=bool)
    for value in (0, 1):
        chosen[_part(np.flatnonzero(dataset.label == value), rule, generator)] = True
    return chosen


def _part(values: np.ndarray, rule: Split, generator: np.random.Generator) -> np.ndarray:
    return generator.permutation(values)[: round(len(values) * rule.holdout_fraction)]
