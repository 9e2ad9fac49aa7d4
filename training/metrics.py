"""How good a classifier's scores are on rows it has not learnt from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from mlops_platform.use_case.spec import Metric

DIGITS = 10
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"brier"})
OF_SCORES: Mapping[Metric, Callable[[np.ndarray, np.ndarray], float]] = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "brier": brier_score_loss,
}
"""The metrics that need no threshold."""
MOST_PARTS = 10
LEAST_PARTS = 5
LEAST_ROWS_OF_A_CLASS = 5
STANDARD_ERRORS = 2.0


class Confusion(BaseModel):
    """Rows by true class and predicted class."""

    model_config = ConfigDict(frozen=True)

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


class Metrics(BaseModel):
    """All metrics of one model on one set of rows; precision, recall, F1 and confusion at the threshold.

    Precision is 0 where nothing is predicted positive.
    """

    model_config = ConfigDict(frozen=True)

    roc_auc: float
    average_precision: float
    precision: float
    recall: float
    f1: float
    brier: float
    confusion: Confusion

    def value(self, metric: Metric) -> float:
        return float(getattr(self, metric))


def evaluate(label: np.ndarray, score: np.ndarray, threshold: float) -> Metrics:
    """Metrics of scores (probabilities of class 1) against labels of both classes; rounded to ten digits."""
    predicted = score >= threshold
    positive = label == 1
    confusion = Confusion(
        true_negative=int((~predicted & ~positive).sum()),
        false_positive=int((predicted & ~positive).sum()),
        false_negative=int((~predicted & positive).sum()),
        true_positive=int((predicted & positive).sum()),
    )
    precision = confusion.true_positive / max(int(predicted.sum()), 1)
    recall = confusion.true_positive / int(positive.sum())
    values = {
        **{metric: of_scores(label, score) for metric, of_scores in OF_SCORES.items()},
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }
    return Metrics(**{name: round(float(value), DIGITS) for name, value in values.items()}, confusion=confusion)


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


@dataclass(frozen=True)
class Scores:
    """What a model says of some rows: its probabilities of class 1, and the threshold that it calls them by."""

    score: np.ndarray
    threshold: float

    def evaluate(self, label: np.ndarray) -> Metrics:
        return evaluate(label, self.score, self.threshold)

    def value(self, metric: Metric, label: np.ndarray, rows: np.ndarray) -> float:
        """One metric on some of the rows, the greater the better."""
        of_scores = OF_SCORES.get(metric)
        if of_scores is None:
            return evaluate(label[rows], self.score[rows], self.threshold).value(metric)
        value = float(of_scores(label[rows], self.score[rows]))
        return -value if metric in LOWER_IS_BETTER else value


def clearly_better(metric: Metric, label: np.ndarray, one: Scores, other: Scores) -> bool:
    """Whether one model is better than the other on these rows by more than chance explains.

    The rows are dealt into parts that have the classes in equal shares; over the parts, the mean of the advantage has
    to be two standard errors above 0. Where there are too few rows of a class for that, being better is enough.
    """
    everywhere = np.ones(len(label), dtype=bool)
    if not one.value(metric, label, everywhere) > other.value(metric, label, everywhere):
        return False
    positive = label == 1
    parts = min(MOST_PARTS, min(positive.sum(), (~positive).sum()) // LEAST_ROWS_OF_A_CLASS)
    if parts < LEAST_PARTS:
        return True
    # the how-manieth row of its class each row is
    place = np.where(positive, np.cumsum(positive), np.cumsum(~positive)) % parts
    dealt = [place == part for part in range(parts)]
    gains = np.array([one.value(metric, label, rows) - other.value(metric, label, rows) for rows in dealt])
    return bool(gains.mean() > STANDARD_ERRORS * gains.std(ddof=1) / np.sqrt(parts))
