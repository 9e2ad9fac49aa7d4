"""Fitting one candidate on the training side, the threshold of a binary task included."""

from dataclasses import dataclass

from sklearn.pipeline import Pipeline

from mlops_platform.errors import ModelError
from mlops_platform.models.reference import score_of
from mlops_platform.use_case.spec import Candidate
from mlops_platform.use_case.task import Task
from training import families
from training.dataset import Dataset, Inputs
from training.job import TrainingJob
from training.metrics import Scores, best_threshold
from training.oversampling import as_fitted
from training.split import split


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline, and where the task is binary the probability from which on a row is called positive."""

    pipeline: Pipeline
    task: Task
    threshold: float | None

    def scores(self, inputs: Inputs) -> Scores:
        """What the pipeline says of these rows.

        Raises:
            ModelError: it cannot take them: a null, say, that the spec has room for and training had none of.
        """
        try:
            score = score_of(self.pipeline, self.task, inputs)
        except ValueError as error:
            raise ModelError(
                f"the fitted pipeline does not take a row that the spec allows: {error}",
                remedy="have the pipeline impute nulls, or say in the spec that there are none",
            ) from None
        return Scores(self.task, score, self.threshold)


def fit(job: TrainingJob, candidate: Candidate, training: Dataset) -> Fitted:
    """Fit the candidate on these rows; a threshold is chosen by fitting it on a part and looking at the rest.

    Raises:
        ModelError: scikit-learn refuses the candidate's parameters or the rows, or it gives no probabilities.
    """
    threshold = _threshold(job, candidate, training) if job.use_case.task == "binary" else None
    return Fitted(_pipeline(job, candidate, training), job.use_case.task, threshold)


def _threshold(job: TrainingJob, candidate: Candidate, training: Dataset) -> float:
    # divided by the same rule as the training side and the holdout
    sides = split(training, job.use_case.split, job.seed)
    learnt, validated = training.rows(sides.training), training.rows(sides.holdout)
    score = score_of(_pipeline(job, candidate, learnt), "binary", validated.inputs)
    return best_threshold(validated.label, score)


def _pipeline(job: TrainingJob, candidate: Candidate, rows: Dataset) -> Pipeline:
    pipeline = families.build(job.use_case, candidate, job.seed)
    try:
        pipeline.fit(rows.inputs, rows.label)
    except ValueError as error:  # scikit-learn checks parameters and inputs when it fits
        raise ModelError(f"{candidate.family}: {error}", remedy="correct the candidate's parameters") from None
    if job.use_case.task != "regression" and not hasattr(pipeline, "predict_proba"):
        raise ModelError(
            f"{candidate.family} gives no probabilities, which the task {job.use_case.task} needs",
            remedy="wrap its model in scikit-learn's CalibratedClassifierCV, which makes them of its scores",
        )
    pipeline = as_fitted(pipeline)
    # several threads add up a forest's scores in another order each time
    threads = [name for name, value in pipeline.get_params().items() if name.endswith("__n_jobs") and value]
    return pipeline.set_params(**dict.fromkeys(threads, 1))
