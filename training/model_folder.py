"""Writing a model's folder: whole, or not at all."""

import importlib.metadata
import io
import platform
import shutil
import uuid
from pathlib import Path

import joblib
from sklearn.pipeline import Pipeline

from mlops_platform.files import sync_folder, write_text
from mlops_platform.models.manifest import MANIFEST_FILE, REFERENCE_FILE, ModelManifest, sha256

LIBRARIES = ("scikit-learn", "numpy", "joblib", "skl2onnx", "onnx", "onnxruntime")


def library_versions() -> dict[str, str]:
    """The versions that a model's bytes depend on."""
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in LIBRARIES}}


def pickled(pipeline: Pipeline) -> bytes:
    content = io.BytesIO()
    joblib.dump(pipeline, content, compress=3)
    return content.getvalue()


def write(folder: Path, pipeline: Pipeline, manifest: ModelManifest, contents: dict[str, bytes]) -> ModelManifest:
    """Put the folder in place in one step, instead of any that lies there. Returns the manifest with its digests."""
    contents = {REFERENCE_FILE: pickled(pipeline), **contents}
    digests = {name: sha256(contents[name]) for name in sorted(contents)}
    manifest = manifest.model_copy(update={"files": digests})
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        for name, content in contents.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        write_text(draft / MANIFEST_FILE, manifest.model_dump_json(indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_folder(folder.parent)
    return manifest


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
