"""The work of a training run: split, fit every candidate, measure, compile, judge, register.

Files that a run leaves in its folder::

    <family>/       a model folder (``mlops_platform.models.manifest``), written whole or not at all
    verdict.json    the verdict that the run ended with

A retry takes up the model folders that are whole and of the same job, and fits only what is missing.
"""

import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from mlops_platform.errors import ModelError
from mlops_platform.files import locked, write_text
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import COMPILED_FILE, GATE_FILE, METRICS_FILE, ModelManifest
from mlops_platform.models.scorer import Scorer
from mlops_platform.models.verdict import VERDICT_FILE, Verdict
from mlops_platform.use_case.spec import Candidate
from training import compiled, families, metrics, model_card, model_folder, plots
from training.dataset import Dataset, Inputs, as_matrix, read
from training.job import TrainingJob
from training.metrics import Metrics
from training.quality_gate import LOWER_IS_BETTER, Judgement, judge
from training.registry import Registry
from training.report import Report
from training.split import split

UNREGISTERED = "unregistered"
"""The version of a model of a job that was given no registry."""

log = logging.getLogger(__name__)


class Gate(BaseModel):
    """What ``gate.json`` holds: the judgement, and the champion it was made against.

    ``champion`` has no metrics where there is none, or where it could not be scored; then ``note`` says why.
    """

    model_config = ConfigDict(frozen=True)

    judgement: Judgement
    champion_version: str | None = None
    champion: Metrics | None = None
    note: str | None = None


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
    notes: tuple[str, ...]
    candidates: tuple[CandidateResult, ...]


@dataclass(frozen=True)
class _Fitted:
    manifest: ModelManifest
    report: Report
    gate: Gate


@dataclass(frozen=True)
class _Bench:
    """The two sides of the split; what every candidate is fitted on and judged by."""

    training: Dataset
    holdout: Dataset
    champion_version: str | None
    champion: Metrics | None
    note: str | None


def run(job: TrainingJob, data: Path, output: Path, registry: Registry | None) -> TrainingVerdict:
    """Fit, judge and register the job's candidates; the verdict is on the best of them. No alias is moved.

    The best is the one with the best primary metric among those accepted, or among all if none is.

    Args:
        data: the folder of the snapshot's parquet.
        output: the run's folder.
        registry: None to register nothing.

    Raises:
        SnapshotError: the data is not a snapshot of the use case.
        ModelError: it cannot be split as the spec asks, or a candidate cannot be fitted or compiled.
    """
    # one thread in linear algebra: with more, sums are added up in another order each time
    with locked(output / ".lock"), threadpool_limits(1):
        model_folder.remove_drafts(output)
        fitted = {candidate.family: _kept(job, candidate, output) for candidate in job.candidates}
        missing = [candidate for candidate in job.candidates if fitted[candidate.family] is None]
        if missing:
            bench = _bench(job, data, registry)
            for candidate in missing:
                fitted[candidate.family] = _fit(job, candidate, bench, output)
        done = [found for found in fitted.values() if found is not None]
        results = [(found, _registered(found, output, registry)) for found in done]
        verdict = _verdict(job, results)
        write_text(output / VERDICT_FILE, verdict.model_dump_json(indent=2) + "\n")
    return verdict


def _bench(job: TrainingJob, data: Path, registry: Registry | None) -> _Bench:
    dataset = read(data, job.use_case)
    sides = split(dataset, job.use_case.split, job.seed)
    training, holdout = dataset.rows(sides.training), dataset.rows(sides.holdout)
    log.info("snapshot %s: %d rows to learn from, %d to judge by", job.snapshot, len(training), len(holdout))
    version, figures, note = _champion_on(holdout, job, registry)
    return _Bench(training, holdout, version, figures, note)


def _champion_on(
    holdout: Dataset, job: TrainingJob, registry: Registry | None
) -> tuple[str | None, Metrics | None, str | None]:
    """The champion's version, its metrics on this holdout, and why there are none although there is a champion."""
    version = registry.champion(job.use_case.name) if registry else None
    if registry is None or version is None:
        return None, None, None
    number = str(version.version)
    try:
        with tempfile.TemporaryDirectory() as target:
            folder, manifest = registry.download(version, job.use_case, Path(target))
            model = model_manifest.read_file(folder, manifest, COMPILED_FILE)
    except ModelError as error:
        note = f"not compared with the champion, version {number}: {error.what}"
        log.warning(note)
        return number, None, note
    score = Scorer(model, manifest.compiled).score(as_matrix(holdout.inputs))
    return number, metrics.evaluate(holdout.label, score, manifest.threshold), None


def _fit(job: TrainingJob, candidate: Candidate, bench: _Bench, output: Path) -> _Fitted:
    """Fit one candidate and write its model folder."""
    use_case = job.use_case
    threshold = _threshold(job, candidate, bench.training)
    pipeline = _fitted(job, candidate, bench.training)
    model = compiled.compile_pipeline(pipeline, use_case)
    score = _score(pipeline, bench.holdout.inputs)
    scorer = Scorer(model, compiled.describe(use_case))
    report = _report(job, pipeline, score=score, scorer=scorer, threshold=threshold, bench=bench)
    judgement = judge(report.holdout, report.baseline, report.parity, use_case.gate, bench.champion)
    gate = Gate(judgement=judgement, champion_version=bench.champion_version, champion=bench.champion, note=bench.note)
    manifest = _manifest(job, candidate, threshold)
    title = f"{use_case.title}, {candidate.family}"
    contents = {
        COMPILED_FILE: model,
        METRICS_FILE: _json(report),
        GATE_FILE: _json(gate),
        model_manifest.CARD_FILE: model_card.render(use_case, manifest, report, judgement).encode(),
        **plots.draw_all(title, bench.holdout.label, score, report.holdout),
    }
    manifest = model_folder.write(output / candidate.family, pipeline, manifest, contents)
    metric = use_case.primary_metric
    log.info(
        "%s: %s %.4f (baseline %.4f)",
        candidate.family,
        metric,
        report.holdout.value(metric),
        report.baseline.value(metric),
    )
    return _Fitted(manifest, report, gate)


def _threshold(job: TrainingJob, candidate: Candidate, training: Dataset) -> float:
    """Chosen on the training side: fitted on its one part, the model scores the other, divided by the same rule."""
    sides = split(training, job.use_case.split, job.seed)
    learnt, validated = training.rows(sides.training), training.rows(sides.holdout)
    return metrics.best_threshold(validated.label, _score(_fitted(job, candidate, learnt), validated.inputs))


def _fitted(job: TrainingJob, candidate: Candidate, rows: Dataset) -> Pipeline:
    pipeline = families.build(job.use_case, candidate, job.seed)
    try:
        pipeline.fit(rows.inputs, rows.label)
    except ValueError as error:  # scikit-learn checks parameters and inputs when it fits
        raise ModelError(f"{candidate.family}: {error}", remedy="correct the candidate's parameters") from None
    # several threads add up a forest's scores in another order each time
    threads = [name for name, value in pipeline.get_params().items() if name.endswith("__n_jobs") and value]
    return pipeline.set_params(**dict.fromkeys(threads, 1))


def _report(
    job: TrainingJob,
    pipeline: Pipeline,
    *,
    score: np.ndarray,
    scorer: Scorer,
    threshold: float,
    bench: _Bench,
) -> Report:
    """The figures of a fitted pipeline, given its scores on the holdout and its compiled form."""
    training, holdout = bench.training, bench.holdout
    dummy = DummyClassifier(strategy="prior").fit(training.inputs, training.label)
    awkward = compiled.awkward_rows(holdout.inputs, job.use_case)
    return Report(
        training_rows=len(training),
        training_positives=int(training.label.sum()),
        holdout_rows=len(holdout),
        holdout_positives=int(holdout.label.sum()),
        threshold=threshold,
        holdout=metrics.evaluate(holdout.label, score, threshold),
        # the majority is all that it knows
        baseline=metrics.evaluate(holdout.label, dummy.predict_proba(holdout.inputs)[:, 1], 0.5),
        parity=compiled.worst(
            compiled.compare(expected, scorer, rows, threshold)
            for expected, rows in ((score, holdout.inputs), (_score(pipeline, awkward), awkward))
        ),
    )


def _score(pipeline: Pipeline, inputs: Inputs) -> np.ndarray:
    probabilities: np.ndarray = pipeline.predict_proba(inputs)
    return probabilities[:, 1]


def _manifest(job: TrainingJob, candidate: Candidate, threshold: float) -> ModelManifest:
    """The manifest but for the digests of the files."""
    return ModelManifest(
        use_case=job.use_case.name,
        family=candidate.family,
        run_id=job.run_id,
        snapshot=job.snapshot,
        spec_hash=job.use_case.spec_hash,
        features=job.use_case.feature_names,
        label=job.use_case.label.name,
        threshold=threshold,
        seed=job.seed,
        parameters=candidate.parameters,
        compiled=compiled.describe(job.use_case),
        libraries=model_folder.library_versions(),
        git_sha=job.git_sha,
        files={},
    )


def _kept(job: TrainingJob, candidate: Candidate, output: Path) -> _Fitted | None:
    """What an earlier attempt of the same job left, if it is whole."""
    folder = output / candidate.family
    if not folder.exists():
        return None
    try:
        manifest = model_manifest.verify(folder, job.use_case)
    except ModelError as error:
        log.warning("fitting %s again: %s", candidate.family, error.what)
        return None
    wanted = _manifest(job, candidate, manifest.threshold).model_copy(update={"files": manifest.files})
    # as JSON, which is how the manifest was kept
    if manifest.model_dump_json() != wanted.model_dump_json():
        return None
    log.info("%s was fitted by an earlier attempt", candidate.family)
    return _Fitted(
        manifest,
        Report.model_validate_json(model_manifest.read_file(folder, manifest, METRICS_FILE)),
        Gate.model_validate_json(model_manifest.read_file(folder, manifest, GATE_FILE)),
    )


def _registered(found: _Fitted, output: Path, registry: Registry | None) -> str:
    if registry is None:
        return UNREGISTERED
    return registry.register(output / found.manifest.family, found.manifest, found.report, found.gate.judgement)


def _verdict(job: TrainingJob, results: list[tuple[_Fitted, str]]) -> TrainingVerdict:
    metric = job.use_case.primary_metric
    sign = -1 if metric in LOWER_IS_BETTER else 1

    def rank(result: tuple[_Fitted, str]) -> tuple[bool, float]:
        found, _ = result
        return found.gate.judgement.accepted, sign * found.report.holdout.value(metric)

    best, version = max(results, key=rank)
    return TrainingVerdict(
        use_case=job.use_case.name,
        snapshot=job.snapshot,
        model_version=version,
        family=best.manifest.family,
        accepted=best.gate.judgement.accepted,
        failed_rules=best.gate.judgement.failed_rules,
        metrics=_figures(best.report),
        run_id=job.run_id,
        champion_version=best.gate.champion_version,
        notes=(best.gate.note,) if best.gate.note else (),
        candidates=tuple(
            CandidateResult(
                family=found.manifest.family,
                model_version=number,
                accepted=found.gate.judgement.accepted,
                failed_rules=found.gate.judgement.failed_rules,
                metrics=_figures(found.report),
            )
            for found, number in results
        ),
    )


def _figures(report: Report) -> dict[str, float]:
    return report.holdout.model_dump(exclude={"confusion"})


def _json(content: BaseModel) -> bytes:
    return (json.dumps(content.model_dump(mode="json"), indent=2) + "\n").encode()
