"""Pictures of a model on the holdout. The same scores give the same bytes."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from training.metrics import Metrics

CALIBRATION_BINS = 10


def draw_all(title: str, label: np.ndarray, score: np.ndarray, metrics: Metrics) -> dict[str, bytes]:
    """PNG by file name: ROC, precision-recall, calibration, and confusion at the threshold."""
    return {
        "plots/roc.png": _roc(title, label, score, metrics),
        "plots/precision_recall.png": _precision_recall(title, label, score, metrics),
        "plots/calibration.png": _calibration(title, label, score),
        "plots/confusion.png": _confusion(title, metrics),
    }


def _roc(title: str, label: np.ndarray, score: np.ndarray, metrics: Metrics) -> bytes:
    figure, axes = _figure(f"{title}: ROC, area {metrics.roc_auc:.3f}", "false positive rate", "true positive rate")
    false_positive, true_positive, _ = roc_curve(label, score)
    axes.plot(false_positive, true_positive)
    axes.plot([0, 1], [0, 1], linestyle="--", color="grey", label="chance")
    axes.legend()
    return _png(figure)


def _precision_recall(title: str, label: np.ndarray, score: np.ndarray, metrics: Metrics) -> bytes:
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


def _confusion(title: str, metrics: Metrics) -> bytes:
    figure, axes = _figure(f"{title}: rows by class at the threshold", "predicted", "true")
    found = metrics.confusion
    counts = np.array([[found.true_negative, found.false_positive], [found.false_negative, found.true_positive]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    # half transparent, so that black figures can be read on every cell
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, alpha=0.5)
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="black")
    axes.set_xticks([0, 1])
    axes.set_yticks([0, 1])
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
