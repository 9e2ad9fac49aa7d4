"""A candidate's model folder: written whole, or not at all; taken up by a retry if it is of the same job."""

import importlib.metadata
import io
import logging
import platform
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import joblib
from sklearn.pipeline import Pipeline

from mlops_platform.errors import ModelError
from mlops_platform.files import sync_folder
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import (
    CARD_FILE,
    COMPILED_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    REFERENCE_FILE,
    ModelManifest,
    sha256,
)
from mlops_platform.use_case.spec import Candidate
from training import compiled, model_card, plots
from training.compiled import Compilation
from training.dataset import Dataset
from training.fit import Fitted
from training.job import TrainingJob
from training.report import Report

LIBRARIES = ("scikit-learn", "numpy", "joblib", "skl2onnx", "onnx", "onnxruntime")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CandidateModel:
    """A whole model folder, its manifest and its figures."""

    folder: Path
    manifest: ModelManifest
    report: Report


def write(
    job: TrainingJob,
    candidate: Candidate,
    fitted: Fitted,
    *,
    compilation: Compilation,
    report: Report,
    holdout: Dataset,
    output: Path,
) -> CandidateModel:
    """Put the candidate's folder in place in one step, instead of any that lies there."""
    use_case = job.use_case
    manifest = _manifest(job, candidate, fitted.threshold, compilation.not_compiled)
    title = f"{use_case.title}, {candidate.family}"
    contents = {
        REFERENCE_FILE: _pickled(fitted.pipeline),
        **({} if compilation.content is None else {COMPILED_FILE: compilation.content}),
        METRICS_FILE: (report.model_dump_json(indent=2, exclude_none=True) + "\n").encode(),
        CARD_FILE: model_card.render(use_case, manifest, report).encode(),
        **plots.draw_all(title, holdout, fitted.scores(holdout.inputs), report.holdout),
    }
    manifest = manifest.model_copy(update={"files": {name: sha256(contents[name]) for name in sorted(contents)}})
    folder = output / candidate.family
    _put_in_place(folder, {**contents, MANIFEST_FILE: (manifest.model_dump_json(indent=2) + "\n").encode()})
    return CandidateModel(folder, manifest, report)


def from_earlier_attempt(job: TrainingJob, candidate: Candidate, output: Path) -> CandidateModel | None:
    """What an earlier attempt of the same job left, if it is whole."""
    folder = output / candidate.family
    if not folder.exists():
        return None
    try:
        manifest = model_manifest.verify(folder, job.use_case)
        report = Report.model_validate_json(model_manifest.read_file(folder, manifest, METRICS_FILE))
    except (ModelError, ValueError) as error:
        log.warning("fitting %s again: %s", candidate.family, error)
        return None
    wanted = _manifest(job, candidate, manifest.threshold, manifest.not_compiled)
    wanted = wanted.model_copy(update={"files": manifest.files})
    # as JSON, which is how the manifest was kept
    if manifest.model_dump_json() != wanted.model_dump_json():
        return None
    return CandidateModel(folder, manifest, report)


def remove_drafts(parent: Path) -> None:
    """Clear away what a killed attempt left half written."""
    for draft in parent.glob(".*.*"):
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)


def copy_model(folder: Path, target: Path) -> None:
    """Copy a model's files into a folder that may be a mount, its manifest last.

    Contents only: a mount may be somebody else's, who alone may change its times and permissions.
    """
    (target / MANIFEST_FILE).unlink(missing_ok=True)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    for file in sorted(files, key=lambda file: file == Path(MANIFEST_FILE)):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, target / file)


def _manifest(
    job: TrainingJob, candidate: Candidate, threshold: float | None, not_compiled: str | None
) -> ModelManifest:
    """The manifest but for the digests of the files."""
    return ModelManifest(
        use_case=job.use_case.name,
        family=candidate.family,
        run_id=job.run_id,
        snapshot=job.snapshot,
        spec_hash=job.use_case.spec_hash,
        transform=job.transform,
        features=job.use_case.feature_names,
        task=job.use_case.task,
        label=job.use_case.label.name,
        classes=job.use_case.label.classes,
        threshold=threshold,
        seed=job.seed,
        parameters=candidate.parameters,
        compiled=compiled.describe(job.use_case) if not_compiled is None else None,
        not_compiled=not_compiled,
        libraries=_library_versions(),
        git_sha=job.git_sha,
        files={},
    )


def _library_versions() -> dict[str, str]:
    """The versions that a model's bytes depend on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in LIBRARIES}}


def _pickled(pipeline: Pipeline) -> bytes:
    content = io.BytesIO()
    joblib.dump(pipeline, content, compress=3)
    return content.getvalue()


def _put_in_place(folder: Path, contents: dict[str, bytes]) -> None:
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, content in contents.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
