"""Learning from classes of very different size: the rows of the smaller ones are drawn again.

The drawing is a part of fitting, so whoever fits on a part of the rows (a fold of a cross-validation, the rows that a
threshold is chosen without) draws from that part alone: no row is ever judged by its own copy.
"""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state


class Oversampled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that is fitted on as many rows of each class as the largest has: all of its own, then drawn ones.

    The last step of a pipeline, behind what is learnt of all rows as they are (medians, scaling).
    """

    def __init__(self, estimator: BaseEstimator, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        self.classes_, sizes = np.unique(y, return_counts=True)
        draw = check_random_state(self.random_state)
        of_class = [np.flatnonzero(y == value) for value in self.classes_]
        drawn = [draw.choice(rows, sizes.max() - len(rows)) for rows in of_class]
        rows = np.concatenate([*of_class, *drawn])
        self.estimator_ = clone(self.estimator).fit(X[rows], y[rows])
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.estimator_.predict(X)
        return found

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.estimator_.predict_proba(X)
        return found


def as_fitted(pipeline: Pipeline) -> Pipeline:
    """A fitted pipeline without the drawing, which is over: it answers the same, of scikit-learn's own classes."""
    name, last = pipeline.steps[-1]
    return Pipeline([*pipeline.steps[:-1], (name, last.estimator_)]) if isinstance(last, Oversampled) else pipeline
