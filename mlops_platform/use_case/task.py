"""What kind of thing a use case predicts, and which figures tell how well."""

from typing import Literal, get_args

Task = Literal["binary", "multiclass", "regression"]
"""The classes 0 and 1, one of several named classes, or a number."""

BinaryMetric = Literal["roc_auc", "average_precision", "precision", "recall", "f1", "brier"]
MulticlassMetric = Literal["accuracy", "f1_macro", "log_loss", "roc_auc_ovr"]
RegressionMetric = Literal["rmse", "mae", "r2"]
Metric = Literal[BinaryMetric, MulticlassMetric, RegressionMetric]
"""Figures of the holdout, by scikit-learn's names for what it scores by."""

METRICS: dict[Task, tuple[Metric, ...]] = {
    "binary": get_args(BinaryMetric),
    "multiclass": get_args(MulticlassMetric),
    "regression": get_args(RegressionMetric),
}
LOWER_IS_BETTER: frozenset[Metric] = frozenset({"brier", "log_loss", "rmse", "mae"})
"""Of all others the higher is the better."""
