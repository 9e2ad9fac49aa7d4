"""Pictures of a model on the holdout. The same scores give the same bytes."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from training.dataset import Dataset
from training.metrics import BinaryMetrics, Metrics, MulticlassMetrics, RegressionMetrics, Scores

CALIBRATION_BINS = 10
RESIDUAL_BINS = 40


def draw_all(title: str, holdout: Dataset, scores: Scores, metrics: Metrics) -> dict[str, bytes]:
    """PNG by file name: of a binary task ROC, precision-recall, calibration and confusion; of several classes ROC and
    confusion; of a regression predictions beside what was true, and what is left between them."""
    label, score = holdout.label, scores.score
    if isinstance(metrics, RegressionMetrics):
        return {
            "plots/predicted.png": _predicted(title, label, score, metrics),
            "plots/residuals.png": _residuals(title, label, score),
        }
    if isinstance(metrics, MulticlassMetrics):
        return {
            "plots/roc.png": _roc_of_each(title, holdout, score, metrics),
            "plots/confusion.png": _confusion(
                f"{title}: rows by class", np.array(metrics.confusion), list(holdout.classes)
            ),
        }
    found = metrics.confusion
    counts = np.array([[found.true_negative, found.false_positive], [found.false_negative, found.true_positive]])
    return {
        "plots/roc.png": _roc(title, label, score, metrics),
        "plots/precision_recall.png": _precision_recall(title, label, score, metrics),
        "plots/calibration.png": _calibration(title, label, score),
        "plots/confusion.png": _confusion(f"{title}: rows by class at the threshold", counts, list(holdout.classes)),
    }


def _roc(title: str, label: np.ndarray, score: np.ndarray, metrics: BinaryMetrics) -> bytes:
    figure, axes = _figure(f"{title}: ROC, area {metrics.roc_auc:.3f}", "false positive rate", "true positive rate")
    false_positive, true_positive, _ = roc_curve(label, score)
    axes.plot(false_positive, true_positive)
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="chance")
    axes.legend()
    return _png(figure)


def _precision_recall(title: str, label: np.ndarray, score: np.ndarray, metrics: BinaryMetrics) -> bytes:
    figure, axes = _figure(f"{title}: average precision {metrics.average_precision:.4f}", "recall", "precision")
    precision, recall, _ = precision_recall_curve(label, score)
    # the few first ranks jump between 0 and 1 and would flatten all the rest
    settled = recall[:-1] >= 0.01  # noqa: PLR2004
    axes.plot(recall[:-1][settled], precision[:-1][settled])
    axes.axhline(float(label.mean()), linestyle="--", color="grey", label="share of positives")
    axes.legend()
    return _png(figure)


def _calibration(title: str, label: np.ndarray, score: np.ndarray) -> bytes:
    figure, axes = _figure(f"{title}: calibration in tenths of the rows", "predicted probability", "observed share")
    observed, predicted = calibration_curve(label, score, n_bins=CALIBRATION_BINS, strategy="quantile")
    axes.plot(predicted, observed, marker="o")
    limit = float(max(observed.max(), predicted.max()))
    axes.plot([0, limit], [0, limit], linestyle="--", color="grey", label="perfect")
    axes.legend()
    return _png(figure)


def _confusion(title: str, counts: np.ndarray, classes: list[str]) -> bytes:
    figure, axes = _figure(title, "predicted", "true")
    shares = counts / counts.sum(axis=1, keepdims=True)
    # half transparent, so that black figures can be read on every cell
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, alpha=0.5)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="black")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    return _png(figure)


def _roc_of_each(title: str, holdout: Dataset, score: np.ndarray, metrics: MulticlassMetrics) -> bytes:
    figure, axes = _figure(
        f"{title}: ROC of each class, mean area {metrics.roc_auc_ovr:.3f}", "false positive rate", "true positive rate"
    )
    for at, name in enumerate(holdout.classes):
        false_positive, true_positive, _ = roc_curve(holdout.label == at, score[:, at])
        axes.plot(false_positive, true_positive, label=name)
    axes.legend()
    return _png(figure)


def _predicted(title: str, label: np.ndarray, score: np.ndarray, metrics: RegressionMetrics) -> bytes:
    figure, axes = _figure(f"{title}: R2 {metrics.r2:.3f}, mean error {metrics.mae:.4g}", "predicted", "true")
    axes.scatter(score, label, s=6, alpha=0.5)
    limits = [float(min(label.min(), score.min())), float(max(label.max(), score.max()))]
    axes.plot(limits, limits, linestyle="--", color="grey", label="perfect")
    axes.legend()
    return _png(figure)


def _residuals(title: str, label: np.ndarray, score: np.ndarray) -> bytes:
    figure, axes = _figure(f"{title}: true minus predicted", "difference", "rows")
    axes.hist(label - score, bins=RESIDUAL_BINS)
    return _png(figure)


def _figure(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    # no pyplot: it keeps figures in a global and looks for a display
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    # without the metadata the file does not name the library's version
    FigureCanvasAgg(figure).print_png(content, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return content.getvalue()
