"""Runs a model by its scikit-learn pipeline, where it has no compiled form.

The one module here that needs scikit-learn: it is imported where such a model is loaded, and by training.
"""

import importlib.metadata
import io
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import REFERENCE_FILE, REMEDY, ModelManifest
from mlops_platform.models.outcome import Score
from mlops_platform.models.scorer import Row, Scorer
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Task

LIBRARY = "scikit-learn"


def score_of(pipeline: Any, task: Task, inputs: np.ndarray | pd.DataFrame) -> np.ndarray:
    """What a fitted pipeline says of these rows, as :meth:`Scorer.score` has it. Classes are fitted as 0, 1, 2, …"""
    if task == "regression":
        numbers: np.ndarray = np.ravel(pipeline.predict(inputs)).astype(np.float64)
        return numbers
    probabilities: np.ndarray = pipeline.predict_proba(inputs)
    return probabilities if task == "multiclass" else probabilities[:, 1]


class ReferenceScorer(Scorer):
    """A pipeline, unpickled from bytes that were verified: unpickling runs what they say.

    Raises:
        ModelError: another version of scikit-learn made it, or it does not load here.
    """

    file = REFERENCE_FILE

    def __init__(self, content: bytes, manifest: ModelManifest, use_case: UseCase) -> None:
        made_by, installed = manifest.libraries.get(LIBRARY), importlib.metadata.version(LIBRARY)
        if made_by != installed:
            raise ModelError(
                f"{REFERENCE_FILE} was made by {LIBRARY} {made_by}, here is {installed}, which may answer otherwise",
                remedy=REMEDY,
            )
        try:
            self._pipeline = joblib.load(io.BytesIO(content))
        except Exception as error:  # unpickling imports, and runs, whatever it names
            raise ModelError(
                f"{REFERENCE_FILE} does not load ({type(error).__name__}: {error})", remedy=REMEDY
            ) from None
        self._features = use_case.features
        self._task = manifest.task

    def score_rows(self, rows: Sequence[Row]) -> list[Score]:
        matrix = np.array([[self._value(row, at) for at in range(len(self._features))] for row in rows], dtype=object)
        found: list[Score] = self.score(matrix).tolist()
        return found

    def score(self, matrix: np.ndarray) -> np.ndarray:
        return score_of(self._pipeline, self._task, self._inputs(matrix))

    def _value(self, row: Row, at: int) -> float | str:
        feature = self._features[at]
        value = row[feature.name]
        if value is None:
            return "" if feature.type == "string" else float("nan")
        return value

    def _inputs(self, matrix: np.ndarray) -> np.ndarray | pd.DataFrame:
        """As training gave them to the pipeline: one matrix of numbers, or a frame where there are strings."""
        if all(feature.type != "string" for feature in self._features):
            return matrix.astype(np.float64)
        return pd.DataFrame(
            {
                feature.name: matrix[:, at].astype(object if feature.type == "string" else np.float64)
                for at, feature in enumerate(self._features)
            }
        )
