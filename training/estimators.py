"""Model families for tables of numbers and strings, derived from a use case's features and task.

Everything a family does to its inputs is inside its pipeline, and the pipeline is made of scikit-learn's own classes
only: whoever loads it needs none of this package.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlops_platform.use_case.spec import UseCase
from training.dataset import is_numeric

Parameters = Mapping[str, Any]
Builder = Callable[[Parameters, int], Pipeline]
"""From a candidate's parameters and the seed to an unfitted pipeline."""

THREADS = 2


def tabular_builders(use_case: UseCase) -> dict[str, Builder]:
    """A linear family (``logistic_regression``, or ``ridge`` of a regression), ``random_forest`` and
    ``gradient_boosting`` over the use case's features."""
    threads: Parameters = {"n_jobs": THREADS}
    if use_case.task == "regression":
        return {
            "ridge": _builder(use_case, Ridge, {}, scaled=True),
            "random_forest": _builder(use_case, RandomForestRegressor, threads),
            "gradient_boosting": _builder(use_case, GradientBoostingRegressor, {}),
        }
    return {
        "logistic_regression": _builder(use_case, LogisticRegression, {"max_iter": 1000}, scaled=True),
        "random_forest": _builder(use_case, RandomForestClassifier, threads),
        "gradient_boosting": _builder(use_case, GradientBoostingClassifier, {}),
    }


def _builder(use_case: UseCase, model: Callable[..., Any], defaults: Parameters, *, scaled: bool = False) -> Builder:
    def build(parameters: Parameters, seed: int) -> Pipeline:
        made = model(**{**defaults, "random_state": seed, **parameters})
        return Pipeline([("inputs", _prepared(use_case, scaled=scaled)), ("model", made)])

    return build


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
