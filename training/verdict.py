"""The verdict on a training run: which of its candidates is the best, and whether that may become champion."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from mlops_platform.models.verdict import Decision, Verdict
from mlops_platform.use_case.task import LOWER_IS_BETTER
from training.job import TrainingJob
from training.judge import CandidateVerdict
from training.model_folder import CandidateModel
from training.opponents import Opponents


class CandidateResult(BaseModel):
    """One fitted family, as the verdict tells of it."""

    model_config = ConfigDict(frozen=True)

    family: str
    model_version: str
    accepted: bool
    failed_rules: tuple[str, ...]
    metrics: dict[str, float]


class TrainingVerdict(Verdict):
    """The best candidate's verdict, with what it was compared with and all candidates."""

    run_id: str
    champion_version: str | None
    best_version: str | None
    candidates: tuple[CandidateResult, ...]


@dataclass(frozen=True)
class JudgedModel:
    """A candidate's model, what became of it, and the version it is registered as."""

    model: CandidateModel
    verdict: CandidateVerdict
    version: str


def verdict_on(job: TrainingJob, judged: Sequence[JudgedModel], opponents: Opponents) -> TrainingVerdict:
    """The verdict on the candidate with the best primary metric among those accepted, or among all if none is."""
    metric = job.use_case.primary_metric
    sign = -1 if metric in LOWER_IS_BETTER else 1

    def rank(one: JudgedModel) -> tuple[bool, float]:
        return one.verdict.decision != Decision.REJECTED, sign * one.model.report.holdout.value(metric)

    best = max(judged, key=rank)
    return TrainingVerdict(
        use_case=job.use_case.name,
        snapshot=job.snapshot,
        model_version=best.version,
        family=best.model.manifest.family,
        accepted=best.verdict.accepted,
        failed_rules=best.verdict.failed_rules,
        incomparable=best.verdict.incomparable,
        metrics=best.model.report.holdout.values(),
        run_id=job.run_id,
        champion_version=opponents.champion.version if opponents.champion else None,
        best_version=opponents.best.version if opponents.best else None,
        candidates=tuple(
            CandidateResult(
                family=one.model.manifest.family,
                model_version=one.version,
                accepted=one.verdict.accepted,
                failed_rules=one.verdict.failed_rules,
                metrics=one.model.report.holdout.values(),
            )
            for one in judged
        ),
    )
