"""The work of a training run: split, fit, measure, compile, judge, register.

Files that a run leaves in its folder::

    <family>/       a model folder (``mlops_platform.models.manifest``), written whole or not at all
    verdict.json    the verdict that the run ended with

A retry takes up the model folders that are whole and of the same job, and fits only what is missing. It judges all of
them anew: the champion may be another one by then.
"""

import logging
from pathlib import Path

from threadpoolctl import threadpool_limits

from mlops_platform.files import locked, write_text
from mlops_platform.models.verdict import VERDICT_FILE
from mlops_platform.use_case.spec import Candidate
from training import model_folder
from training.compiled import compile_if_exact
from training.cross_validation import cross_validate
from training.dataset import Dataset, read
from training.fit import fit
from training.job import TrainingJob
from training.judge import judge
from training.model_folder import CandidateModel
from training.opponents import Opponents, meet, model_scores
from training.register import Registrar
from training.report import measure
from training.split import split
from training.verdict import JudgedModel, TrainingVerdict, verdict_on

UNREGISTERED = "unregistered"
"""The version of a model of a job that was given no registry."""

log = logging.getLogger(__name__)


def run(job: TrainingJob, data: Path, output: Path, registrar: Registrar | None) -> TrainingVerdict:
    """Fit, judge and register the job's candidates; the verdict is on the best of them. No alias is moved.

    Args:
        data: the folder of the snapshot's parquet.
        output: the run's folder.
        registrar: None to register nothing, and to compare with nothing.

    Raises:
        SnapshotError: the data is not a snapshot of the use case.
        ModelError: it cannot be split as the spec asks, or a candidate cannot be fitted.
        RegistryDown: MLflow does not answer.
    """
    # one thread in linear algebra: with more, sums are added up in another order each time
    with locked(output / ".lock"), threadpool_limits(1):
        model_folder.remove_drafts(output)
        dataset = read(data, job.use_case)
        sides = split(dataset, job.use_case.split, job.seed)
        training, holdout = dataset.rows(sides.training), dataset.rows(sides.holdout)
        log.info("snapshot %s: %d rows to learn from, %d to judge by", job.snapshot, len(training), len(holdout))
        if dataset.unlabelled:
            log.info("  %d rows have no label: they are served, and nothing learns from them", dataset.unlabelled)
        models = [_fitted_before_or_now(job, candidate, training, holdout, output) for candidate in job.candidates]
        opponents = Opponents() if registrar is None else meet(registrar.registry, job, holdout)
        judged = [_judged(job, model, holdout, opponents, registrar) for model in models]
        verdict = verdict_on(job, judged, opponents)
        write_text(output / VERDICT_FILE, verdict.model_dump_json(indent=2) + "\n")
    return verdict


def _fitted_before_or_now(
    job: TrainingJob, candidate: Candidate, training: Dataset, holdout: Dataset, output: Path
) -> CandidateModel:
    before = model_folder.from_earlier_attempt(job, candidate, output)
    if before is not None:
        log.info("%s was fitted by an earlier attempt", candidate.family)
        return before
    fitted = fit(job, candidate, training)
    compilation = compile_if_exact(fitted.pipeline, fitted.scores, job.use_case, holdout.inputs)
    if compilation.not_compiled is not None:
        log.warning("%s is served by scikit-learn: %s", candidate.family, compilation.not_compiled)
    folds = cross_validate(job, candidate, training)
    report = measure(fitted, compilation.parity, folds, training, holdout)
    metric = job.use_case.primary_metric
    found, baseline = report.holdout.value(metric), report.baseline.value(metric)
    log.info("%s: %s %.4f (baseline %.4f)", candidate.family, metric, found, baseline)
    return model_folder.write(
        job, candidate, fitted, compilation=compilation, report=report, holdout=holdout, output=output
    )


def _judged(
    job: TrainingJob, model: CandidateModel, holdout: Dataset, opponents: Opponents, registrar: Registrar | None
) -> JudgedModel:
    verdict = judge(model.report, job.use_case.gate, opponents)
    version = UNREGISTERED
    if registrar is not None:
        scores = model_scores(model.folder, model.manifest, job.use_case, holdout)
        superseded = opponents.superseded_by(scores, job.use_case.primary_metric, holdout.label)
        version = registrar.register(model, verdict.decision, superseded)
    return JudgedModel(model, verdict, version)
