"""The figures of one fitted candidate: what ``metrics.json`` holds."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.dummy import DummyClassifier

from mlops_platform.models.scorer import Scorer
from mlops_platform.use_case.spec import UseCase
from training import compiled
from training.compiled import Parity
from training.dataset import Dataset
from training.fit import Fitted
from training.metrics import Metrics, evaluate


class Report(BaseModel):
    """Made from the snapshot, the spec and the seed alone: the same ones give the same bytes."""

    model_config = ConfigDict(frozen=True)

    training_rows: int
    training_positives: int
    holdout_rows: int
    holdout_positives: int
    unlabelled_rows: int = 0
    threshold: float
    holdout: Metrics
    baseline: Metrics
    parity: Parity


def measure(fitted: Fitted, model: bytes, use_case: UseCase, training: Dataset, holdout: Dataset) -> Report:
    """How good a fitted pipeline is on the holdout, beside a dummy, and how far its compiled form is from it."""
    score = fitted.score(holdout.inputs)
    dummy = DummyClassifier(strategy="prior").fit(training.inputs, training.label)
    return Report(
        training_rows=len(training),
        training_positives=int(training.label.sum()),
        holdout_rows=len(holdout),
        holdout_positives=int(holdout.label.sum()),
        unlabelled_rows=training.unlabelled,
        threshold=fitted.threshold,
        holdout=evaluate(holdout.label, score, fitted.threshold),
        # the majority is all that it knows
        baseline=evaluate(holdout.label, dummy.predict_proba(holdout.inputs)[:, 1], 0.5),
        parity=_parity(fitted, score, model, use_case, holdout),
    )


def _parity(fitted: Fitted, score: np.ndarray, model: bytes, use_case: UseCase, holdout: Dataset) -> Parity:
    """Over the holdout, and over rows of nulls and extremes."""
    scorer = Scorer(model, compiled.describe(use_case))
    awkward = compiled.awkward_rows(holdout.inputs, use_case)
    return compiled.worst(
        compiled.compare(expected, scorer, rows, fitted.threshold)
        for expected, rows in ((score, holdout.inputs), (fitted.score(awkward), awkward))
    )
