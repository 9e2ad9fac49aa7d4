"""A fitted forest as the attributes of one ``TreeEnsemble`` (ai.onnx.ml 5), which compares and adds in doubles.

Two things that scikit-learn does before it compares are moved into the comparisons, so that nothing else has to run:

- It rounds an input to single precision. Every split becomes the largest double that is rounded to no more than it.
- An imputer in front of the forest replaces nulls and flags them. A split of a feature also says where a null goes; a
  split of a flag becomes one of the feature itself that every number passes and a null does not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer


@dataclass(frozen=True)
class _Splits:
    """Of each inner node: a row with ``row[feature] <= limit`` takes the true branch, a null if ``null_is_true``."""

    feature: np.ndarray
    limit: np.ndarray
    null_is_true: np.ndarray


def tree_ensemble(forest: RandomForestClassifier, imputer: SimpleImputer | None = None) -> dict[str, Any]:
    """Attributes that add up the trees' shares of class 1, from the imputer's inputs or, without one, the forest's.

    All inner nodes of all trees are one list, and all leaves another. A tree that is a single leaf has no inner node;
    it gets one whose branches both lead to the leaf.
    """
    roots: list[int] = []
    columns: dict[str, list[np.ndarray]] = {
        name: [] for name in ("feature", "split", "true", "true_leaf", "false", "false_leaf", "weight")
    }
    nodes = leaves = 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        is_leaf = tree.children_left == -1
        inner = np.flatnonzero(~is_leaf)
        # where each node of the tree lands: among all inner nodes, or among all leaves
        place = np.where(is_leaf, leaves + np.cumsum(is_leaf), nodes + np.cumsum(~is_leaf)) - 1
        lonely = inner.size == 0
        left = np.zeros(1, dtype=np.int64) if lonely else tree.children_left[inner]
        right = np.zeros(1, dtype=np.int64) if lonely else tree.children_right[inner]
        columns["feature"].append(np.zeros(1, dtype=np.int64) if lonely else tree.feature[inner])
        columns["split"].append(np.zeros(1) if lonely else tree.threshold[inner])
        columns["true"].append(place[left])
        columns["true_leaf"].append(is_leaf[left])
        columns["false"].append(place[right])
        columns["false_leaf"].append(is_leaf[right])
        shares = tree.value[is_leaf][:, 0, :]
        columns["weight"].append(shares[:, 1] / shares.sum(axis=1) / len(forest.estimators_))
        roots.append(nodes)
        nodes += max(inner.size, 1)
        leaves += int(is_leaf.sum())
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    splits = _splits(flat["feature"], flat["split"], imputer)
    return {
        "n_targets": 1,
        "aggregate_function": 1,  # sum
        "post_transform": 0,  # none
        "tree_roots": roots,
        "nodes_featureids": _whole(splits.feature),
        "nodes_modes": numpy_helper.from_array(np.zeros(nodes, dtype=np.uint8)),  # all "less than or equal"
        "nodes_splits": numpy_helper.from_array(splits.limit),
        "nodes_missing_value_tracks_true": _whole(splits.null_is_true),
        "nodes_truenodeids": _whole(flat["true"]),
        "nodes_trueleafs": _whole(flat["true_leaf"]),
        "nodes_falsenodeids": _whole(flat["false"]),
        "nodes_falseleafs": _whole(flat["false_leaf"]),
        "leaf_targetids": [0] * leaves,
        "leaf_weights": numpy_helper.from_array(flat["weight"].astype(np.float64)),
    }


def before_rounding(limits: np.ndarray) -> np.ndarray:
    """The largest doubles that rounding to single precision, to nearest and even, brings to at most these."""
    single = limits.astype(np.float32)
    single = np.where(single > limits, np.nextafter(single, np.float32(-np.inf)), single)
    above = np.nextafter(single, np.float32(np.inf))
    middle = (single.astype(np.float64) + above) / 2
    return np.where(middle.astype(np.float32) <= single, middle, np.nextafter(middle, -np.inf))


def _splits(feature: np.ndarray, split: np.ndarray, imputer: SimpleImputer | None) -> _Splits:
    """The splits of a forest's inputs as splits of its imputer's."""
    limit = before_rounding(split)
    if imputer is None:
        return _Splits(feature, limit, np.zeros(feature.shape, dtype=bool))
    features = imputer.statistics_.size
    flagged = imputer.indicator_.features_ if imputer.add_indicator else np.array([], dtype=np.int64)
    # of each of the forest's inputs: the feature it is made of, and what it is where that is null
    source = np.concatenate([np.arange(features), flagged])[feature]
    if_null = np.concatenate([imputer.statistics_, np.ones(flagged.size)])[feature]
    no_null = np.where(split >= 0, np.inf, -np.inf)  # where a flag is 0, whatever the number
    return _Splits(source, np.where(feature < features, limit, no_null), if_null <= limit)


def _whole(values: np.ndarray) -> list[int]:
    return values.astype(np.int64).tolist()  # type: ignore[no-any-return]
