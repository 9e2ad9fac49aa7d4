"""Runs models: the one scorer of training, serving and batch. A compiled form needs ONNX Runtime and NumPy alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import (
    COMPILED_FILE,
    REFERENCE_FILE,
    REMEDY,
    CompiledInput,
    CompiledModel,
    ModelManifest,
)
from mlops_platform.models.outcome import DECIMALS, Score
from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.use_case.spec import UseCase

Row = Mapping[str, FeatureValue]
"""One row's features by name; a null is None."""


class Scorer(ABC):
    """A loaded model. Safe from several threads at once. ``file`` is what it was loaded from."""

    file: str

    @abstractmethod
    def score_rows(self, rows: Sequence[Row]) -> list[Score]:
        """One score per row."""

    @abstractmethod
    def score(self, matrix: np.ndarray) -> np.ndarray:
        """The same of a matrix; shape ``(n,)``, or ``(n, n_classes)`` of several classes; float64.

        Args:
            matrix: shape ``(n, n_features)``, features in the manifest's order; float64, or object where there are
                strings. A null number is NaN, a null string is the empty string.
        """

    def check_answers(self, use_case: UseCase) -> None:
        """See that it answers a row of the use case, and one of all nulls that there can be, as the task wants it.

        Raises:
            ModelError: it does not.
        """
        example: Row = {feature.name: feature.example for feature in use_case.features}
        nulls: Row = {feature.name: None if feature.nullable else feature.example for feature in use_case.features}
        try:
            found = self.score_rows([example, nulls])
        except Exception as error:  # a runtime raises a family of its own, a pipeline whatever its steps do
            raise ModelError(
                f"{self.file} does not answer a row of {use_case.name} ({type(error).__name__})", remedy=REMEDY
            ) from None
        if not all(_is_of_the_task(score, use_case) for score in found):
            expected = "no numbers" if use_case.task == "regression" else "no probabilities"
            raise ModelError(f"{self.file} answers {found}, which are {expected}", remedy=REMEDY)


class CompiledScorer(Scorer):
    """A compiled form.

    Raises:
        ModelError: it does not load.
    """

    file = COMPILED_FILE

    def __init__(self, content: bytes, compiled: CompiledModel) -> None:
        options = onnxruntime.SessionOptions()
        # a row is tens of microseconds: handing it to another thread costs more than it saves
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._inputs = compiled.inputs
        self._output = [compiled.output]
        self._of_classes = compiled.output == "class_probabilities"
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a family of its own, without a common base
            raise ModelError(f"{COMPILED_FILE} does not load ({type(error).__name__})", remedy=REMEDY) from None

    def score_rows(self, rows: Sequence[Row]) -> list[Score]:
        found: list[Score] = self._run({tensor.name: _tensor(tensor, rows) for tensor in self._inputs}).tolist()
        return found

    def score(self, matrix: np.ndarray) -> np.ndarray:
        feeds, first = {}, 0
        for tensor in self._inputs:
            columns = matrix[:, first : first + len(tensor.features)]
            # one tensor of all features is the matrix itself, without a copy
            feeds[tensor.name] = np.ascontiguousarray(columns, np.object_ if tensor.type == "string" else np.float64)
            first += len(tensor.features)
        return self._run(feeds)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        output: np.ndarray = self._session.run(self._output, feeds)[0]
        if not self._of_classes:
            return output[:, -1]
        return output if output.shape[1] > 1 else np.hstack([1 - output, output])


def load_scorer(folder: Path, manifest: ModelManifest, use_case: UseCase) -> Scorer:
    """What runs the model of a folder: its compiled form, or where it has none scikit-learn's pipeline.

    Raises:
        ModelError: the file is not as the manifest vouches for it, or does not load.
    """
    if manifest.compiled is not None:
        return CompiledScorer(model_manifest.read_file(folder, manifest, COMPILED_FILE), manifest.compiled)
    # scikit-learn takes 2 s and 160 MB: only a worker that has such a model needs it
    from mlops_platform.models.reference import ReferenceScorer  # noqa: PLC0415

    return ReferenceScorer(model_manifest.read_file(folder, manifest, REFERENCE_FILE), manifest, use_case)


def _is_of_the_task(score: Score, use_case: UseCase) -> bool:
    several = isinstance(score, list)
    values: Sequence[float] = score if isinstance(score, list) else [score]
    if not all(map(math.isfinite, values)) or several != (use_case.task == "multiclass"):
        return False
    if use_case.task == "regression":
        return True
    # a sum may be beyond 1 by its last bit
    probable = all(0 <= round(value, DECIMALS) <= 1 for value in values)
    return probable and (not several or len(values) == len(use_case.label.classes))


def _tensor(tensor: CompiledInput, rows: Sequence[Row]) -> np.ndarray:
    if tensor.type == "string":
        values = [["" if row[name] is None else row[name] for name in tensor.features] for row in rows]
        return np.array(values, dtype=np.object_)
    # None becomes NaN as an array of floats is made
    return np.array([[row[name] for name in tensor.features] for row in rows], dtype=np.float64)
