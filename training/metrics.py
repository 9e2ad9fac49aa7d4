"""How good a classifier's scores are on rows it has not learnt from."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from mlops_platform.use_case.spec import Metric

DIGITS = 10


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
        "roc_auc": roc_auc_score(label, score),
        "average_precision": average_precision_score(label, score),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "brier": brier_score_loss(label, score),
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
