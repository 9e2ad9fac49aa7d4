"""Diabetes: boosted trees, and a support vector machine, which ONNX Runtime does not run in doubles."""

from collections.abc import Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from training.estimators import tabular_builders
from use_cases.diabetes.spec import MEASURED, USE_CASE


def support_vectors(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    inputs = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(MEASURED)),
            ("sex", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["sex"]),
        ]
    )
    return Pipeline([("inputs", inputs), ("model", SVR(**parameters))])


BUILDERS = {**tabular_builders(USE_CASE), "support_vectors": support_vectors}
