"""The models that a candidate must not fall behind, measured on the candidate's own holdout."""

import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import ModelManifest
from mlops_platform.models.registry import BEST, CHAMPION, MANIFEST_TAG, ModelRegistry, ModelVersion
from mlops_platform.models.scorer import load_scorer
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Metric
from training.dataset import Dataset, as_matrix
from training.job import TrainingJob
from training.metrics import Metrics, Scores, clearly_better

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opponent:
    """A registered model and what it does on the holdout."""

    title: str
    version: ModelVersion
    scores: Scores = field(repr=False)
    metrics: Metrics


@dataclass(frozen=True)
class Opponents:
    """The champion, and the best that ever was; until there is a best, the champion stands for it.

    ``compared`` has those that could be measured (once, if both are one model), ``incomparable`` a sentence for each
    that could not.
    """

    champion: ModelVersion | None = None
    best: ModelVersion | None = None
    compared: tuple[Opponent, ...] = ()
    incomparable: tuple[str, ...] = ()

    def superseded_by(self, candidate: Scores, metric: Metric, label: np.ndarray) -> str | None:
        """The digest of the best, if the candidate takes its place on being promoted; None if it does not.

        It does if it is clearly better on the same rows: without that, chance alone would let the best grow worse. It
        does as well if the best cannot be measured any more.
        """
        if self.best is None:
            return None
        measured = [opponent for opponent in self.compared if opponent.version.version == self.best.version]
        if all(clearly_better(metric, label, candidate, opponent.scores) for opponent in measured):
            return self.best.tags.get(MANIFEST_TAG)
        return None


def meet(registry: ModelRegistry, job: TrainingJob, holdout: Dataset) -> Opponents:
    """Download the champion and the best and measure them on these rows.

    Raises:
        RegistryDown: MLflow does not answer; another attempt may be able to compare.
    """
    champion = registry.alias(job.use_case.name, CHAMPION)
    best = registry.alias(job.use_case.name, BEST) or champion
    compared: list[Opponent] = []
    incomparable: list[str] = []
    for title, version in (("the champion", champion), ("the best", best)):
        if version is None or (title == "the best" and champion is not None and version.version == champion.version):
            continue
        try:
            scores = _scores(registry, job, version, holdout)
        except ModelError as error:
            incomparable.append(f"not compared with {title}, version {version.version}: {error.what}")
            log.warning(incomparable[-1])
            continue
        compared.append(Opponent(title, version, scores, scores.evaluate(holdout.label)))
    return Opponents(champion, best, tuple(compared), tuple(incomparable))


def _scores(registry: ModelRegistry, job: TrainingJob, version: ModelVersion, holdout: Dataset) -> Scores:
    with tempfile.TemporaryDirectory() as folder:
        manifest = registry.download_model(version, job.use_case, Path(folder))
        # what is not known of models and snapshots of before is not compared
        if None not in (manifest.transform, job.transform) and manifest.transform != job.transform:
            raise ModelError(
                "it was trained on features of other formulas", remedy="approve the candidate, or reject it"
            )
        return model_scores(Path(folder), manifest, job.use_case, holdout)


def model_scores(folder: Path, manifest: ModelManifest, use_case: UseCase, rows: Dataset) -> Scores:
    """What the model of a folder says of these rows, run as the service runs it."""
    scorer = load_scorer(folder, manifest, use_case)
    return Scores(manifest.task, scorer.score(as_matrix(rows.inputs)), manifest.threshold)
