"""Fitting one candidate on the training side, its threshold included."""

from dataclasses import dataclass

import numpy as np
from sklearn.pipeline import Pipeline

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Candidate
from training import families
from training.dataset import Dataset, Inputs
from training.job import TrainingJob
from training.metrics import best_threshold
from training.split import split


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, and the probability from which on a row is called positive."""

    pipeline: Pipeline
    threshold: float

    def score(self, inputs: Inputs) -> np.ndarray:
        """The probability of class 1; shape ``(n,)``."""
        return _score(self.pipeline, inputs)


def fit(job: TrainingJob, candidate: Candidate, training: Dataset) -> Fitted:
    """Fit the candidate on these rows; its threshold is chosen by fitting it on a part and looking at the rest.

    Raises:
        ModelError: scikit-learn refuses the candidate's parameters or the rows.
    """
    # divided by the same rule as the training side and the holdout
    sides = split(training, job.use_case.split, job.seed)
    learnt, validated = training.rows(sides.training), training.rows(sides.holdout)
    threshold = best_threshold(validated.label, _score(_pipeline(job, candidate, learnt), validated.inputs))
    return Fitted(_pipeline(job, candidate, training), threshold)


def _pipeline(job: TrainingJob, candidate: Candidate, rows: Dataset) -> Pipeline:
    pipeline = families.build(job.use_case, candidate, job.seed)
    try:
        pipeline.fit(rows.inputs, rows.label)
    except ValueError as error:  # scikit-learn checks parameters and inputs when it fits
        raise ModelError(f"{candidate.family}: {error}", remedy="correct the candidate's parameters") from None
    # several threads add up a forest's scores in another order each time
    threads = [name for name, value in pipeline.get_params().items() if name.endswith("__n_jobs") and value]
    return pipeline.set_params(**dict.fromkeys(threads, 1))


def _score(pipeline: Pipeline, inputs: Inputs) -> np.ndarray:
    probabilities: np.ndarray = pipeline.predict_proba(inputs)
    return probabilities[:, 1]
