"""How much a candidate's figures depend on which rows it is judged by: cross-validation over the training part."""

from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Candidate
from training.dataset import Dataset
from training.fit import fit
from training.job import TrainingJob
from training.metrics import DIGITS
from training.split import together


class CrossValidation(BaseModel):
    """By metric, the mean over the folds and its standard deviation.

    Each fold is judged by a model of all others, its threshold included. Whatever a family does to the rows it learns
    from, drawing them again say, is done to these alone.
    """

    model_config = ConfigDict(frozen=True)

    folds: int
    mean: dict[str, float]
    deviation: dict[str, float]


def cross_validate(job: TrainingJob, candidate: Candidate, training: Dataset) -> CrossValidation | None:
    """None where the use case asks for no folds.

    Raises:
        ModelError: the candidate cannot be fitted, or a fold lacks a class.
    """
    folds = job.use_case.folds
    if folds is None:
        return None
    found = []
    for learnt, judged in _folds(job, training, folds):
        fitted, fold = fit(job, candidate, training.rows(learnt)), training.rows(judged)
        if len(np.unique(fold.label)) < len(training.classes):
            raise ModelError(
                f"a fold of {len(fold)} rows lacks a class of {job.use_case.label.name}",
                remedy="give more data, or ask for fewer folds in the spec",
            )
        found.append(fitted.scores(fold.inputs).evaluate(fold.label).values())
    by_metric = {metric: np.array([figures[metric] for figures in found]) for metric in found[0]}
    return CrossValidation(
        folds=folds,
        mean={metric: round(float(values.mean()), DIGITS) for metric, values in by_metric.items()},
        deviation={metric: round(float(values.std(ddof=1)), DIGITS) for metric, values in by_metric.items()},
    )


def _folds(job: TrainingJob, training: Dataset, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions to learn from and to judge by. Rows that the split keeps together are in one fold."""
    kind = StratifiedGroupKFold if training.classes else GroupKFold
    drawn = kind(folds, shuffle=True, random_state=job.seed)
    rows = np.zeros(len(training))
    yield from drawn.split(rows, training.label, together(training, job.use_case.split))
