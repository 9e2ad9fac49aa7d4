"""The figures of one fitted candidate: what ``metrics.json`` holds."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.dummy import DummyClassifier, DummyRegressor

from training.compiled import Parity
from training.cross_validation import CrossValidation
from training.dataset import Dataset
from training.fit import Fitted
from training.metrics import Metrics, Scores


class Report(BaseModel):
    """Made from the snapshot, the spec and the seed alone: the same ones give the same bytes.

    Positives and the threshold are those of a binary task, rows by class those of a multiclass one. ``parity`` is that
    of the compiled form; None where there is none. ``cross_validation`` is of the training part, where the spec asks.
    """

    model_config = ConfigDict(frozen=True)

    training_rows: int
    training_positives: int | None = None
    training_classes: dict[str, int] | None = None
    holdout_rows: int
    holdout_positives: int | None = None
    holdout_classes: dict[str, int] | None = None
    unlabelled_rows: int = 0
    threshold: float | None = None
    holdout: Metrics
    baseline: Metrics
    cross_validation: CrossValidation | None = None
    parity: Parity | None = None


def measure(
    fitted: Fitted,
    parity: Parity | None,
    cross_validation: CrossValidation | None,
    training: Dataset,
    holdout: Dataset,
) -> Report:
    """How good a fitted pipeline is on the holdout, beside a dummy that looks at no feature."""
    return Report(
        training_rows=len(training),
        holdout_rows=len(holdout),
        unlabelled_rows=training.unlabelled,
        **_positives(fitted, training, holdout),
        **_classes(fitted, training, holdout),
        threshold=fitted.threshold,
        holdout=fitted.scores(holdout.inputs).evaluate(holdout.label),
        baseline=_baseline(fitted, training, holdout).evaluate(holdout.label),
        cross_validation=cross_validation,
        parity=parity,
    )


def _positives(fitted: Fitted, training: Dataset, holdout: Dataset) -> dict[str, int]:
    if fitted.task != "binary":
        return {}
    return {"training_positives": int(training.label.sum()), "holdout_positives": int(holdout.label.sum())}


def _classes(fitted: Fitted, training: Dataset, holdout: Dataset) -> dict[str, dict[str, int]]:
    if fitted.task != "multiclass":
        return {}
    sides = {"training_classes": training, "holdout_classes": holdout}
    return {
        name: dict(zip(side.classes, np.bincount(side.label, minlength=len(side.classes)).tolist(), strict=True))
        for name, side in sides.items()
    }


def _baseline(fitted: Fitted, training: Dataset, holdout: Dataset) -> Scores:
    """Each row gets the training part's shares of the classes, or its mean."""
    if fitted.task == "regression":
        mean = DummyRegressor(strategy="mean").fit(training.inputs, training.label)
        return Scores(fitted.task, mean.predict(holdout.inputs))
    shares = DummyClassifier(strategy="prior").fit(training.inputs, training.label).predict_proba(holdout.inputs)
    if fitted.task == "multiclass":
        return Scores(fitted.task, shares)
    # the majority is all that it knows
    return Scores(fitted.task, shares[:, 1], 0.5)
