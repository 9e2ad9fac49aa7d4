"""Wine: boosted trees, and neighbours by a distance that nothing compiles."""

from collections.abc import Mapping
from typing import Any

from sklearn.impute import SimpleImputer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.estimators import tabular_builders
from use_cases.wine.spec import USE_CASE


def nearest_neighbours(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    inputs = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return Pipeline([("inputs", inputs), ("model", KNeighborsClassifier(metric="canberra", **parameters))])


BUILDERS = {**tabular_builders(USE_CASE), "nearest_neighbours": nearest_neighbours}
