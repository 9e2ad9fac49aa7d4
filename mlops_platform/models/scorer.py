"""Runs the compiled form of a model: the one scorer of training, serving and batch. Needs ONNX Runtime and NumPy."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import COMPILED_FILE, REMEDY, CompiledInput, CompiledModel
from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.use_case.spec import UseCase

Row = Mapping[str, FeatureValue]
"""One row's features by name; a null is None."""


class Scorer:
    """A loaded compiled model. Safe from several threads at once.

    Raises:
        ModelError: it does not load.
    """

    def __init__(self, content: bytes, compiled: CompiledModel) -> None:
        options = onnxruntime.SessionOptions()
        # a row is tens of microseconds: handing it to another thread costs more than it saves
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._inputs = compiled.inputs
        self._output = [compiled.output]
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises a family of its own, without a common base
            raise ModelError(f"{COMPILED_FILE} does not load ({type(error).__name__})", remedy=REMEDY) from None

    def probabilities(self, rows: Sequence[Row]) -> list[float]:
        """Of the positive class, one per row."""
        found: list[float] = self._run({tensor.name: _tensor(tensor, rows) for tensor in self._inputs}).tolist()
        return found

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """The probability of the positive class; shape ``(n,)``, float64.

        Args:
            matrix: shape ``(n, n_features)``, features in the manifest's order; float64, or object where there are
                strings. A null number is NaN, a null string is the empty string.
        """
        feeds, first = {}, 0
        for tensor in self._inputs:
            columns = matrix[:, first : first + len(tensor.features)]
            # one tensor of all features is the matrix itself, without a copy
            feeds[tensor.name] = np.ascontiguousarray(columns, np.object_ if tensor.type == "string" else np.float64)
            first += len(tensor.features)
        return self._run(feeds)

    def check_answers(self, use_case: UseCase) -> None:
        """See that it answers a row of the use case, and one that is all null, with probabilities.

        Raises:
            ModelError: it does not.
        """
        example: Row = {feature.name: feature.example for feature in use_case.features}
        try:
            found = self.probabilities([example, dict.fromkeys(use_case.feature_names)])
        except Exception as error:  # as above
            raise ModelError(
                f"{COMPILED_FILE} does not answer a row of {use_case.name} ({type(error).__name__})", remedy=REMEDY
            ) from None
        if not all(math.isfinite(value) and 0 <= value <= 1 for value in found):
            raise ModelError(f"{COMPILED_FILE} answers {found}, which are no probabilities", remedy=REMEDY)

    def _run(self, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
        probabilities: np.ndarray = self._session.run(self._output, feeds)[0]
        return probabilities[:, -1]


def _tensor(tensor: CompiledInput, rows: Sequence[Row]) -> np.ndarray:
    if tensor.type == "string":
        values = [["" if row[name] is None else row[name] for name in tensor.features] for row in rows]
        return np.array(values, dtype=np.object_)
    # None becomes NaN as an array of floats is made
    return np.array([[row[name] for name in tensor.features] for row in rows], dtype=np.float64)
