"""Fitted trees as the attributes of one ``TreeEnsemble`` (ai.onnx.ml 5), which compares and adds in doubles.

Two things that scikit-learn does before it compares are moved into the comparisons, so that nothing else has to run:

- Forests and gradient boosting round an input to single precision (the boosting of histograms does not). Every split
  becomes the largest double that is rounded to no more than it.
- An imputer in front of the trees replaces nulls and flags them. A split of a feature also says where a null goes; a
  split of a flag becomes one of the feature itself that every number passes and a null does not.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import numpy_helper
from sklearn.base import BaseEstimator, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer

FORESTS = (RandomForestClassifier, ExtraTreesClassifier, RandomForestRegressor, ExtraTreesRegressor)
BOOSTED = (GradientBoostingClassifier, GradientBoostingRegressor)
BOOSTED_HISTOGRAMS = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
TREE_MODELS = FORESTS + BOOSTED + BOOSTED_HISTOGRAMS
"""The models that are sums of trees."""


@dataclass(frozen=True)
class Tree:
    """One tree that adds to one output. Arrays have a value per node; node 0 is the root.

    A row with ``row[feature] <= limit`` goes to ``left``, and a null does if ``null_is_left``. A leaf, which is where
    ``left`` is -1, adds its ``weight``.
    """

    output: int
    feature: np.ndarray
    limit: np.ndarray
    null_is_left: np.ndarray
    left: np.ndarray
    right: np.ndarray
    weight: np.ndarray


def outputs_of(model: BaseEstimator) -> int:
    """How many sums there are: one for a number or two classes (of which it is the second), else one for each class."""
    return len(model.classes_) if is_classifier(model) and len(model.classes_) > 2 else 1  # noqa: PLR2004


def trees_of(model: BaseEstimator) -> list[Tree]:
    """The trees whose sums are a forest's answer, or boosting's before its link (logistic, softmax).

    Raises:
        NotImplementedError: there is more to the model than its trees; says what.
    """
    if isinstance(model, FORESTS):
        return _forest(model)
    return _boosted(model) if isinstance(model, BOOSTED) else _boosted_histograms(model)


def tree_ensemble(model: BaseEstimator, imputer: SimpleImputer | None = None) -> dict[str, Any]:
    """Attributes that add up the model's trees, from the imputer's inputs or, without one, the model's.

    All inner nodes of all trees are one list, and all leaves another. A tree that is a single leaf has no inner node;
    it gets one whose branches both lead to the leaf.
    """
    roots: list[int] = []
    columns: dict[str, list[np.ndarray]] = {
        name: []
        for name in ("feature", "limit", "null", "true", "true_leaf", "false", "false_leaf", "weight", "output")
    }
    nodes = leaves = 0
    for tree in trees_of(model):
        is_leaf = tree.left == -1
        # where each node of the tree lands: among all inner nodes, or among all leaves
        place = np.where(is_leaf, leaves + np.cumsum(is_leaf), nodes + np.cumsum(~is_leaf)) - 1
        inner, left, right = np.flatnonzero(~is_leaf), tree.left, tree.right
        if not inner.size:
            inner, left, right = np.zeros((3, 1), dtype=np.int64)
        columns["feature"].append(np.maximum(tree.feature[inner], 0))
        columns["limit"].append(tree.limit[inner])
        columns["null"].append(tree.null_is_left[inner])
        for branch, child in (("true", left[inner]), ("false", right[inner])):
            columns[branch].append(place[child])
            columns[f"{branch}_leaf"].append(is_leaf[child])
        columns["weight"].append(tree.weight[is_leaf])
        columns["output"].append(np.full(int(is_leaf.sum()), tree.output))
        roots.append(nodes)
        nodes += inner.size
        leaves += int(is_leaf.sum())
    flat = {name: np.concatenate(parts) for name, parts in columns.items()}
    feature, limit, null_is_true = flat["feature"], flat["limit"], flat["null"]
    if imputer is not None:
        feature, limit, null_is_true = _before_imputing(feature, limit, imputer)
    return {
        "n_targets": outputs_of(model),
        "aggregate_function": 1,  # sum
        "post_transform": 0,  # none
        "tree_roots": roots,
        "nodes_featureids": _whole(feature),
        "nodes_modes": numpy_helper.from_array(np.zeros(nodes, dtype=np.uint8)),  # all "less than or equal"
        "nodes_splits": numpy_helper.from_array(limit),
        "nodes_missing_value_tracks_true": _whole(null_is_true),
        "nodes_truenodeids": _whole(flat["true"]),
        "nodes_trueleafs": _whole(flat["true_leaf"]),
        "nodes_falsenodeids": _whole(flat["false"]),
        "nodes_falseleafs": _whole(flat["false_leaf"]),
        "leaf_targetids": _whole(flat["output"]),
        "leaf_weights": numpy_helper.from_array(flat["weight"].astype(np.float64)),
    }


def before_rounding(limits: np.ndarray) -> np.ndarray:
    """The largest doubles that rounding to single precision, to nearest and even, brings to at most these."""
    single = limits.astype(np.float32)
    single = np.where(single > limits, np.nextafter(single, np.float32(-np.inf)), single)
    above = np.nextafter(single, np.float32(np.inf))
    middle = (single.astype(np.float64) + above) / 2
    return np.where(middle.astype(np.float32) <= single, middle, np.nextafter(middle, -np.inf))


def _forest(forest: BaseEstimator) -> list[Tree]:
    """The mean of its trees: of classes, each tree once for each output, since a leaf adds to one."""
    count, outputs = len(forest.estimators_), outputs_of(forest)
    trees: list[Tree] = []
    for tree in (estimator.tree_ for estimator in forest.estimators_):
        values = tree.value[:, 0, :]
        if is_classifier(forest):
            values = values / values.sum(axis=1, keepdims=True)
        trees += [_tree(tree, output, values[:, output - outputs] / count) for output in range(outputs)]
    return trees


def _boosted(model: BaseEstimator) -> list[Tree]:
    """The first trees add what boosting starts from as well, in scikit-learn's order."""
    start, scale = _start(model), 1.0
    if is_classifier(model) and model.loss == "exponential":
        scale = 2.0  # its link is the logistic function of twice the sum
    trees = [
        _tree(estimator.tree_, output, model.learning_rate * estimator.tree_.value[:, 0, 0])
        for stage in model.estimators_
        for output, estimator in enumerate(stage)
    ]
    return _scaled([_raised(tree, start) for tree in trees[: len(start)]] + trees[len(start) :], scale)


def _start(model: BaseEstimator) -> np.ndarray:
    """What boosting starts from; shape ``(n_outputs,)``."""
    if model.init_ == "zero":
        return np.zeros(outputs_of(model))
    if not isinstance(model.init_, DummyClassifier | DummyRegressor):
        raise NotImplementedError(f"boosting that starts from a {type(model.init_).__name__}")
    start: np.ndarray = model._raw_predict_init(np.zeros((1, model.n_features_in_), dtype=np.float32))[0]
    return start


def _boosted_histograms(model: BaseEstimator) -> list[Tree]:
    if model.is_categorical_ is not None and model.is_categorical_.any():
        raise NotImplementedError("splits by category")
    if not is_classifier(model) and model.loss in ("poisson", "gamma"):
        raise NotImplementedError(f"the link of the loss {model.loss}")
    start = np.ravel(model._baseline_prediction)
    trees = []
    for stage in model._predictors:
        for output, nodes in enumerate(predictor.nodes for predictor in stage):
            is_leaf = nodes["is_leaf"].astype(bool)
            trees.append(
                Tree(
                    output=output,
                    feature=nodes["feature_idx"].astype(np.int64),
                    limit=nodes["num_threshold"].astype(np.float64),
                    null_is_left=nodes["missing_go_to_left"].astype(bool),
                    left=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
                    right=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
                    weight=nodes["value"].astype(np.float64),
                )
            )
    return [_raised(tree, start) for tree in trees[: len(start)]] + trees[len(start) :]


def _tree(tree: Any, output: int, weight: np.ndarray) -> Tree:
    """A tree of scikit-learn's, whose inputs are rounded."""
    return Tree(
        output=output,
        feature=tree.feature,
        limit=before_rounding(tree.threshold),
        null_is_left=tree.missing_go_to_left.astype(bool),
        left=tree.children_left,
        right=tree.children_right,
        weight=weight,
    )


def _raised(tree: Tree, start: np.ndarray) -> Tree:
    return replace(tree, weight=tree.weight + start[tree.output])


def _scaled(trees: list[Tree], by: float) -> list[Tree]:
    return trees if by == 1 else [replace(tree, weight=tree.weight * by) for tree in trees]


def _before_imputing(
    feature: np.ndarray, limit: np.ndarray, imputer: SimpleImputer
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Splits of what the imputer gives as splits of what it takes: feature, limit, and whether a null is true."""
    features = imputer.statistics_.size
    flagged = imputer.indicator_.features_ if imputer.add_indicator else np.array([], dtype=np.int64)
    # of each of the trees' inputs: the feature it is made of, and what it is where that is null
    source = np.concatenate([np.arange(features), flagged])[feature]
    if_null = np.concatenate([imputer.statistics_, np.ones(flagged.size)])[feature]
    no_null = np.where(limit >= 0, np.inf, -np.inf)  # where a flag is 0, whatever the number
    return source, np.where(feature < features, limit, no_null), if_null <= limit


def _whole(values: np.ndarray) -> list[int]:
    return values.astype(np.int64).tolist()  # type: ignore[no-any-return]
