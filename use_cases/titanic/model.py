"""Titanic: a linear model whose scores are made probabilities, and a forest."""

from collections.abc import Mapping
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from use_cases.titanic.spec import CLASSES, PORTS, SEXES

NUMBERS = ["age", "sib_sp", "parch", "fare"]


def linear_svc(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    scored = LinearSVC(**{"random_state": seed, **parameters})
    # one support vector machine of all rows; its scores are calibrated by those of folds that it was not fitted on
    calibrated = CalibratedClassifierCV(scored, ensemble=False)
    return Pipeline([("inputs", inputs(scaled=True)), ("model", calibrated)])


def random_forest(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    forest = RandomForestClassifier(**{"random_state": seed, **parameters})
    return Pipeline([("inputs", inputs(scaled=False)), ("model", forest)])


def inputs(*, scaled: bool) -> ColumnTransformer:
    """Of the numbers a null becomes the median; of a port, a sex and a class there is a column for each value.

    A port that is not known is none of the three.
    """
    median = SimpleImputer(strategy="median")
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(median, StandardScaler()) if scaled else median, NUMBERS),
            ("words", _one_hot(PORTS, SEXES), ["embarked", "sex"]),
            ("class", _one_hot(CLASSES), ["pclass"]),
        ]
    )


def _one_hot(*values: tuple[Any, ...]) -> OneHotEncoder:
    return OneHotEncoder(categories=[list(of_one) for of_one in values], handle_unknown="ignore", sparse_output=False)


BUILDERS = {"linear_svc": linear_svc, "random_forest": random_forest}
