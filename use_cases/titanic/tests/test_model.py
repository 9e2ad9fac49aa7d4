"""What is fitted of passengers: good enough on those it has not seen, exact when compiled, right where it is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

from tests.real_data import passengers
from training.compiled import compile_if_exact
from training.dataset import Dataset
from training.fit import fit
from training.job import TrainingJob, from_hyperparameters
from training.split import split
from use_cases.titanic.model import inputs
from use_cases.titanic.spec import USE_CASE

SURVIVED = [17, 0, 1, 53.1, "S", "female", 1]
DIED = [23, 0, 0, 0, "S", "male", 3]


@pytest.fixture(scope="module")
def job() -> TrainingJob:
    return from_hyperparameters(
        {"use_case": "titanic", "snapshot": "first", "run_id": "run", "random_forest.n_estimators": "30"}
    )


@pytest.fixture(scope="module")
def sides(real_data: Path, job: TrainingJob) -> tuple[Dataset, Dataset]:
    rows = passengers(real_data)
    divided = split(rows, USE_CASE.split, job.seed)
    return rows.rows(divided.training), rows.rows(divided.holdout)


@pytest.mark.parametrize("at", [0, 1], ids=["linear_svc", "random_forest"])
def test_a_family_tells_who_survived(job: TrainingJob, sides: tuple[Dataset, Dataset], at: int) -> None:
    training, holdout = sides
    fitted = fit(job, job.candidates[at], training)
    scores = fitted.scores(holdout.inputs)
    assert 0.8 < scores.evaluate(holdout.label).value("roc_auc") < 0.9
    known = fitted.scores(pd.DataFrame([SURVIVED, DIED], columns=list(USE_CASE.feature_names))).score
    assert [int(score >= fitted.threshold) for score in known] == [1, 0]
    compilation = compile_if_exact(fitted.pipeline, fitted.scores, USE_CASE, holdout.inputs)
    assert compilation.not_compiled is None


def test_an_age_that_is_not_known_is_the_median_of_those_it_learnt_from(sides: tuple[Dataset, Dataset]) -> None:
    training, _ = sides
    learnt = inputs(scaled=False).fit(training.inputs)
    unknown = pd.DataFrame([[None, 0, 0, 8.05, "", "male", 2]], columns=list(USE_CASE.feature_names))
    assert isinstance(training.inputs, pd.DataFrame)
    median = float(np.nanmedian(training.inputs["age"]))
    assert learnt.transform(unknown.astype({"age": float})).tolist() == [
        [median, 0, 0, 8.05, *(0, 0, 0), *(0, 1), *(0, 1, 0)]
    ]
    assert isinstance(learnt.named_transformers_["numbers"], SimpleImputer)
