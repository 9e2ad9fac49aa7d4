"""A model as the service runs it: the compiled form of a verified model folder."""

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import COMPILED_FILE, METRICS_FILE, CompiledInput, ModelManifest
from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.use_case.spec import UseCase

_REMEDY = "train the model again; the one before goes on answering"

Row = Mapping[str, FeatureValue]


class CompiledModel:
    """Runs the compiled form of a model; a row is features by name.

    Raises:
        ModelError: it does not load, or does not answer a row of its use case.
    """

    def __init__(self, content: bytes, manifest: ModelManifest, use_case: UseCase) -> None:
        options = ort.SessionOptions()
        # a row is tens of microseconds: handing it to another thread costs more than it saves
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._inputs = manifest.compiled.inputs
        self._output = [manifest.compiled.output]
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            example: Row = {feature.name: feature.example for feature in use_case.features}
            found = self.probabilities([example, dict.fromkeys(use_case.feature_names)])
        except Exception as error:  # the runtime raises a family of its own, without a common base
            raise ModelError(
                f"{COMPILED_FILE} does not answer a row of {use_case.name} ({type(error).__name__})", remedy=_REMEDY
            ) from None
        if not all(math.isfinite(value) and 0 <= value <= 1 for value in found):
            raise ModelError(f"{COMPILED_FILE} answers {found}, which are no probabilities", remedy=_REMEDY)

    def probabilities(self, rows: Sequence[Row]) -> list[float]:
        """Of the positive class, one per row."""
        feed = {tensor.name: _tensor(tensor, rows) for tensor in self._inputs}
        answer: np.ndarray = self._session.run(self._output, feed)[0]
        return answer[:, -1].tolist()  # type: ignore[no-any-return]


def _tensor(tensor: CompiledInput, rows: Sequence[Row]) -> np.ndarray:
    if tensor.type == "string":
        values = [["" if row[name] is None else row[name] for name in tensor.features] for row in rows]
        return np.array(values, dtype=np.object_)
    # None becomes NaN as an array of floats is made
    return np.array([[row[name] for name in tensor.features] for row in rows], dtype=np.float64)


@dataclass(frozen=True)
class Registration:
    """What the registry says of a version; kept beside its files, so that they can be verified without it."""

    version: str
    manifest_sha256: str
    registered_at: dt.datetime


@dataclass(frozen=True)
class ServedModel:
    """A verified, loaded version of a use case's model."""

    registration: Registration
    compiled: CompiledModel = field(repr=False)
    manifest: ModelManifest = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)

    @property
    def version(self) -> str:
        return self.registration.version

    def label(self, probability: float) -> int:
        return int(probability >= self.manifest.threshold)


def load(folder: Path, use_case: UseCase, registration: Registration) -> ServedModel:
    """The model of a folder, verified before anything of it is loaded.

    Raises:
        ModelError: it is not what was registered, not of this use case, or does not load.
    """
    manifest = model_manifest.verify(folder, use_case, registration.manifest_sha256)
    return ServedModel(
        registration=registration,
        compiled=CompiledModel(model_manifest.read_file(folder, manifest, COMPILED_FILE), manifest, use_case),
        manifest=manifest,
        metrics=json.loads(model_manifest.read_file(folder, manifest, METRICS_FILE)),
    )
