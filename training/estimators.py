"""Model families for tables of numbers and strings, derived from a use case's features.

Everything a family does to its inputs is inside its pipeline, and the pipeline is made of scikit-learn's own classes
only: whoever loads it needs none of this package.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_platform.use_case.spec import UseCase
from training.dataset import is_numeric

Parameters = Mapping[str, Any]
Builder = Callable[[Parameters, int], Pipeline]
"""From a candidate's parameters and the seed to an unfitted pipeline."""

THREADS = 2


def tabular_builders(use_case: UseCase) -> dict[str, Builder]:
    """The families ``logistic_regression`` and ``random_forest`` over the use case's features."""

    def logistic_regression(parameters: Parameters, seed: int) -> Pipeline:
        model = LogisticRegression(**{"max_iter": 1000, "random_state": seed, **parameters})
        return Pipeline([("inputs", _prepared(use_case, scaled=True)), ("model", model)])

    def random_forest(parameters: Parameters, seed: int) -> Pipeline:
        model = RandomForestClassifier(**{"n_jobs": THREADS, "random_state": seed, **parameters})
        return Pipeline([("inputs", _prepared(use_case, scaled=False)), ("model", model)])

    return {"logistic_regression": logistic_regression, "random_forest": random_forest}


def _prepared(use_case: UseCase, *, scaled: bool) -> Pipeline | ColumnTransformer:
    """Nulls become the median, with a flag that they were; strings become one column per value seen in training."""
    steps: list[Any] = [SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)]
    if scaled:
        steps.append(StandardScaler())
    numbers = make_pipeline(*steps)
    if is_numeric(use_case):
        return numbers
    strings = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer(
        [
            ("numbers", numbers, [feature.name for feature in use_case.features if feature.type != "string"]),
            ("strings", strings, [feature.name for feature in use_case.features if feature.type == "string"]),
        ]
    )
