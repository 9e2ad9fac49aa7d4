"""Song genre: boosted trees on tempo scaled, that see as many songs of the one genre as of all others."""

from collections.abc import Mapping
from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from training.oversampling import Oversampled
from use_cases.song_genre.spec import USE_CASE


def gradient_boosting(parameters: Mapping[str, Any], seed: int) -> Pipeline:
    trees = GradientBoostingClassifier(**{"random_state": seed, **parameters})
    return Pipeline([("inputs", inputs()), ("model", Oversampled(trees, random_state=seed))])


def inputs() -> ColumnTransformer:
    """A null becomes the median; tempo, whose unit is another one than that of the shares, is scaled."""
    at = USE_CASE.feature_names.index("tempo")
    others = [position for position in range(len(USE_CASE.feature_names)) if position != at]
    median = SimpleImputer(strategy="median")
    return ColumnTransformer([("tempo", make_pipeline(median, StandardScaler()), [at]), ("others", median, others)])


BUILDERS = {"gradient_boosting": gradient_boosting}
