"""Which rows a model learns from and which it is judged by. Decided before anything else looks at the data."""

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Split
from training.dataset import Dataset

LEAST_ROWS = 2
"""Of a side: the variance of one row is none."""


class Sides(NamedTuple):
    """Positions of rows, ascending. With a split by time and entities apart, some rows are on neither side."""

    training: np.ndarray
    holdout: np.ndarray


def split(dataset: Dataset, rule: Split, seed: int) -> Sides:
    """Divide the rows by the use case's rule. Pure: the same dataset and seed give the same sides.

    By time, the holdout begins on a day and has every row from it on: a day is never torn apart, so it can hold more
    than ``holdout_fraction`` of the rows. At random, the draw is made within each class (or over entities, where those
    stay apart).

    Duplicates are never on both sides: at random, rows of the same features are drawn as one; by time, a row that was
    listed twice has the same day both times.

    Raises:
        ModelError: a side would have fewer than two rows, or a class without any.
    """
    holdout = _last_days(dataset, rule) if rule.by == "time" else _drawn(dataset, rule, seed)
    training = ~holdout
    if rule.by == "time" and rule.entities_apart:
        training &= ~np.isin(dataset.entity, dataset.entity[holdout])
    for side, chosen in (("training part", training), ("holdout", holdout)):
        of_class: Any = np.bincount(dataset.label[chosen], minlength=len(dataset.classes)) if dataset.classes else []
        if chosen.sum() < LEAST_ROWS or 0 in of_class:
            counts = ", ".join(f"{name}: {rows}" for name, rows in zip(dataset.classes, of_class, strict=True))
            raise ModelError(
                f"the {side} has {chosen.sum()} rows{counts and f' ({counts})'}; "
                + ("each class is needed" if counts else f"{LEAST_ROWS} are needed"),
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
    number = together(dataset, rule)
    if rule.entities_apart:
        return np.isin(number, _part(np.unique(number), rule, generator))
    # of the rows that are alike the first one stands for all, and its class for theirs
    _, first = np.unique(number, return_index=True)
    strata = [first[dataset.label[first] == at] for at in range(len(dataset.classes))] or [first]
    chosen = [_part(stratum, rule, generator) for stratum in strata]
    return np.isin(number, number[np.concatenate(chosen)])


def together(dataset: Dataset, rule: Split) -> np.ndarray:
    """A number for each row, the same for rows that never stand on different sides of a random split."""
    alike = np.arange(len(dataset)) if dataset.alike is None else dataset.alike
    return _connected(alike, np.unique(dataset.entity, return_inverse=True)[1]) if rule.entities_apart else alike


def _connected(*numbers: np.ndarray) -> np.ndarray:
    """For each row the first of those that it leads to by equal numbers in either array."""
    one, other = numbers
    # a graph whose nodes are the numbers of both arrays, and whose edges are the rows
    beside = other + one.max() + 1
    nodes = beside.max() + 1
    graph = coo_array((np.ones(len(one)), (one, beside)), shape=(nodes, nodes))
    component = connected_components(graph, directed=False)[1][one]
    _, first, place = np.unique(component, return_index=True, return_inverse=True)
    return first[place]


def _part(values: np.ndarray, rule: Split, generator: np.random.Generator) -> np.ndarray:
    return generator.permutation(values)[: round(len(values) * rule.holdout_fraction)]
