"""A model as the service runs it: the compiled form of a verified model folder."""

import datetime as dt
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import COMPILED_FILE, METRICS_FILE, ModelManifest
from mlops_platform.models.scorer import Scorer
from mlops_platform.use_case.spec import UseCase


class Registration(BaseModel):
    """What the registry said of a version. Its digest tells which model it is; a number may be given again."""

    model_config = ConfigDict(frozen=True)

    version: str
    manifest_sha256: str
    registered_at: dt.datetime


@dataclass(frozen=True)
class ServedModel:
    """A verified, loaded version of a use case's model."""

    registration: Registration
    scorer: Scorer = field(repr=False)
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
    scorer = Scorer(model_manifest.read_file(folder, manifest, COMPILED_FILE), manifest.compiled)
    scorer.check_answers(use_case)
    metrics = json.loads(model_manifest.read_file(folder, manifest, METRICS_FILE))
    return ServedModel(registration, scorer, manifest, metrics)
