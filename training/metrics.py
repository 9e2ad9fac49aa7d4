"""How good a model's scores are on rows it has not learnt from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from mlops_platform.models.outcome import DECIMALS
from mlops_platform.use_case.task import LOWER_IS_BETTER, Metric, Task

DIGITS = 10
OF_SCORES: Mapping[Metric, Callable[[np.ndarray, np.ndarray], float]] = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "brier": brier_score_loss,
}
"""The metrics of a binary task that need no threshold."""
MOST_PARTS = 10
LEAST_PARTS = 5
LEAST_ROWS_OF_A_CLASS = 5
STANDARD_ERRORS = 2.0


class _Metrics(BaseModel):
    """All metrics of one model on one set of rows: those of its task (``mlops_platform.use_case.task``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def value(self, metric: Metric) -> float:
        return float(getattr(self, metric))

    def values(self) -> dict[str, float]:
        return self.model_dump(exclude={"confusion"})


class Confusion(BaseModel):
    """Rows by true class and predicted class."""

    model_config = ConfigDict(frozen=True)

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


class BinaryMetrics(_Metrics):
    """Precision, recall, F1 and confusion at the threshold. Precision is 0 where nothing is predicted positive."""

    roc_auc: float
    average_precision: float
    precision: float
    recall: float
    f1: float
    brier: float
    confusion: Confusion


class MulticlassMetrics(_Metrics):
    """``f1_macro`` and ``roc_auc_ovr`` (each class against the rest) are means over the classes, whatever their size.

    ``confusion`` has a row for each true class and a column for each predicted one, in the spec's order.
    """

    accuracy: float
    f1_macro: float
    log_loss: float
    roc_auc_ovr: float
    confusion: tuple[tuple[int, ...], ...]


class RegressionMetrics(_Metrics):
    """``rmse`` and ``mae`` have the label's unit."""

    rmse: float
    mae: float
    r2: float


Metrics = BinaryMetrics | MulticlassMetrics | RegressionMetrics


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows.

    ``score`` is the probability of class 1, shape ``(n,)``; the probabilities of the classes, ``(n, n_classes)``; or a
    number, ``(n,)``. ``threshold``, of a binary task, is the probability from which on a row is called positive.
    """

    task: Task
    score: np.ndarray
    threshold: float | None = None

    @property
    def labels(self) -> np.ndarray:
        """What the rows are called: 0 or 1, the position of a class, or the number itself. Shape ``(n,)``."""
        score: np.ndarray = np.round(self.score, DECIMALS)  # as in an answer
        if self.task == "binary":
            positive: np.ndarray = score >= self.threshold
            return positive.astype(np.int64)
        return self.score if self.task == "regression" else score.argmax(axis=1)

    def rows(self, chosen: np.ndarray) -> "Scores":
        """Those of some of the rows."""
        return replace(self, score=self.score[chosen])

    def evaluate(self, label: np.ndarray) -> Metrics:
        """All metrics against labels, of which each class has one at least; rounded to ten digits."""
        if self.task == "binary":
            return _binary(label, self)
        return _multiclass(label, self) if self.task == "multiclass" else _regression(label, self)

    def value(self, metric: Metric, label: np.ndarray, rows: np.ndarray) -> float:
        """One metric on some of the rows, the greater the better."""
        of_scores = OF_SCORES.get(metric)
        if of_scores is None:
            value = self.rows(rows).evaluate(label[rows]).value(metric)
        else:
            value = float(of_scores(label[rows], self.score[rows]))
        return -value if metric in LOWER_IS_BETTER else value


def _binary(label: np.ndarray, scores: Scores) -> BinaryMetrics:
    predicted, positive = scores.labels == 1, label == 1
    confusion = Confusion(
        true_negative=int((~predicted & ~positive).sum()),
        false_positive=int((predicted & ~positive).sum()),
        false_negative=int((~predicted & positive).sum()),
        true_positive=int((predicted & positive).sum()),
    )
    precision = confusion.true_positive / max(int(predicted.sum()), 1)
    recall = confusion.true_positive / int(positive.sum())
    values = {
        **{metric: of_scores(label, scores.score) for metric, of_scores in OF_SCORES.items()},
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }
    return BinaryMetrics(**_rounded(values), confusion=confusion)


def _multiclass(label: np.ndarray, scores: Scores) -> MulticlassMetrics:
    predicted, classes = scores.labels, np.arange(scores.score.shape[1])
    values = {
        "accuracy": accuracy_score(label, predicted),
        "f1_macro": f1_score(label, predicted, labels=classes, average="macro", zero_division=0.0),
        "log_loss": log_loss(label, scores.score, labels=classes),
        "roc_auc_ovr": np.mean([roc_auc_score(label == one, scores.score[:, one]) for one in classes]),
    }
    confusion = confusion_matrix(label, predicted, labels=classes).tolist()
    return MulticlassMetrics(**_rounded(values), confusion=tuple(map(tuple, confusion)))


def _regression(label: np.ndarray, scores: Scores) -> RegressionMetrics:
    values = {
        "rmse": root_mean_squared_error(label, scores.score),
        "mae": mean_absolute_error(label, scores.score),
        "r2": r2_score(label, scores.score),
    }
    return RegressionMetrics(**_rounded(values))


def _rounded(values: Mapping[Any, float]) -> dict[str, float]:
    return {name: round(float(value), DIGITS) for name, value in values.items()}


def best_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """The threshold with the greatest F1 (of several, the highest): midway between two neighbouring scores.

    A score far from any of the model's own cannot change sides by a rounding error.

    >>> best_threshold(np.array([0, 1, 0, 1]), np.array([0.1, 0.5, 0.2, 0.9]))
    0.35
    """
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    hits = np.cumsum(label[order])
    last_of_equals = np.flatnonzero(np.append(np.diff(ranked) != 0, True))
    f1 = 2 * hits[last_of_equals] / (last_of_equals + 1 + label.sum())
    best = last_of_equals[np.argmax(f1)]
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def advantage(metric: Metric, of: Metrics, over: Metrics) -> float:
    """By how much one is better than the other; negative if it is worse."""
    difference = of.value(metric) - over.value(metric)
    return -difference if metric in LOWER_IS_BETTER else difference


def clearly_better(metric: Metric, label: np.ndarray, one: Scores, other: Scores) -> bool:
    """Whether one model is better than the other on these rows by more than chance explains.

    The rows are dealt into parts that have the classes in equal shares; over the parts, the mean of the advantage has
    to be two standard errors above 0. Where there are too few rows (of a class) for that, being better is enough.
    """
    everywhere = np.ones(len(label), dtype=bool)
    if not one.value(metric, label, everywhere) > other.value(metric, label, everywhere):
        return False
    classes = (
        [np.arange(len(label))] if one.task == "regression" else [np.flatnonzero(label == c) for c in np.unique(label)]
    )
    parts = min(MOST_PARTS, min(map(len, classes)) // LEAST_ROWS_OF_A_CLASS)
    if parts < LEAST_PARTS:
        return True
    place = np.empty(len(label), dtype=np.int64)
    for rows in classes:
        place[rows] = np.arange(1, len(rows) + 1) % parts  # the how-manieth row of its class each row is
    dealt = [place == part for part in range(parts)]
    gains = np.array([one.value(metric, label, rows) - other.value(metric, label, rows) for rows in dealt])
    return bool(gains.mean() > STANDARD_ERRORS * gains.std(ddof=1) / np.sqrt(parts))
