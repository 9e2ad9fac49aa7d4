"""A model as the service runs it: what a verified model folder has to run, and what its scores come to."""

import datetime as dt
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import METRICS_FILE, ModelManifest
from mlops_platform.models.outcome import Outcome, Score, outcome_of
from mlops_platform.models.scorer import Scorer, load_scorer
from mlops_platform.use_case.spec import UseCase

logger = logging.getLogger(__name__)


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

    @cached_property
    def outcome(self) -> Callable[[Score], Outcome]:
        """What one of its scores comes to."""
        return outcome_of(self.manifest)

    @property
    def is_compiled(self) -> bool:
        """Whether a row takes microseconds; otherwise scikit-learn runs it, which is no work for the event loop."""
        return self.manifest.compiled is not None


def load(folder: Path, use_case: UseCase, registration: Registration) -> ServedModel:
    """The model of a folder, verified before anything of it is loaded.

    Raises:
        ModelError: it is not what was registered, not of this use case, or does not load.
    """
    manifest = model_manifest.verify(folder, use_case, registration.manifest_sha256)
    scorer = load_scorer(folder, manifest, use_case)
    scorer.check_answers(use_case)
    metrics = json.loads(model_manifest.read_file(folder, manifest, METRICS_FILE))
    if manifest.not_compiled is not None:
        about = {"use_case": use_case.name, "model_version": registration.version, "reason": manifest.not_compiled}
        logger.warning("model without a compiled form, run by scikit-learn: slower", extra=about)
    return ServedModel(registration, scorer, manifest, metrics)
