"""A model's folder and its manifest: what training writes, what serving verifies before anything is loaded.

Files of a model folder::

    model.joblib     the reference: a scikit-learn pipeline
    model.onnx       the compiled form that serving runs, equal to rounding; not there where the manifest says why
    metrics.json     the holdout's metrics beside the baseline's
    model_card.md    the same for a reader
    plots/*.png      ROC, precision-recall, calibration, confusion
    manifest.json    a :class:`ModelManifest`: what the model is, and the sha256 of every other file

Inputs, for both forms: features in the manifest's order. A null number is NaN, a null string is the empty string. What
a model's scores come to is said in :mod:`mlops_platform.models.outcome`.

The folder says what was fitted and how good it is. Whether that is good enough depends on the champion of the day, so
the verdict is no part of it: it is in the run's ``verdict.json`` and in the registry.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mlops_platform.errors import ModelError
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Task

MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "model.joblib"
COMPILED_FILE = "model.onnx"
METRICS_FILE = "metrics.json"
CARD_FILE = "model_card.md"
REQUIRED_FILES = (REFERENCE_FILE, METRICS_FILE, CARD_FILE)
"""Beside the compiled form, if there is one."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]
"""A path below the model's folder; none leads out of it."""

REMEDY = "train the use case again, or promote another version"


class CompiledInput(BaseModel):
    """One input tensor of the compiled model: shape ``[rows, len(features)]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: Literal["double", "string"]
    features: tuple[str, ...]


CompiledOutput = Literal["probabilities", "class_probabilities", "numbers"]


class CompiledModel(BaseModel):
    """How to run the compiled model.

    Where every feature is a number there is one input, ``features``, with all of them; otherwise one input per feature,
    named after it. The output, of type double, is called what it holds: ``probabilities`` of class 1 in the last column
    of ``[rows, 1]`` or ``[rows, 2]``; ``class_probabilities``, a column for each (of two classes the second may stand
    alone); ``numbers``, ``[rows, 1]``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[CompiledInput, ...]
    output: CompiledOutput = "probabilities"


class ModelManifest(BaseModel):
    """What a model is, what it was made from, and the digest of each file of its folder.

    ``transform`` is the fingerprint of the formulas that computed the features of its snapshot; None in manifests of
    before it was there, whose ``spec_hash`` is of another formula as well. ``threshold`` is that of the task
    ``binary``, ``classes`` are those of ``multiclass``. Where ``compiled`` is None, ``not_compiled`` says why, and the
    model is run by scikit-learn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    use_case: str
    family: str
    run_id: str
    snapshot: str
    spec_hash: Sha256
    transform: Sha256 | None = None
    features: tuple[str, ...]
    task: Task = "binary"
    label: str
    classes: tuple[str, ...] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int
    parameters: dict[str, Any]
    compiled: CompiledModel | None
    not_compiled: str | None = None
    libraries: dict[str, str]
    git_sha: str
    files: dict[FileName, Sha256]

    @model_validator(mode="after")
    def _a_binary_model_has_a_threshold(self) -> Self:
        if (self.threshold is None) == (self.task == "binary"):
            raise ValueError(f"a {self.task} model has {'no' if self.threshold is None else 'a'} threshold")
        return self

    @property
    def required_files(self) -> tuple[str, ...]:
        return REQUIRED_FILES if self.compiled is None else (COMPILED_FILE, *REQUIRED_FILES)


def fits(model: ModelManifest, snapshot: SnapshotManifest) -> bool:
    """Whether the model was trained on features that were defined and computed as the snapshot's are."""
    return (model.spec_hash, model.transform) == (snapshot.spec_hash, snapshot.transform)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest_sha256(folder: Path) -> str:
    """The digest that the registry keeps of a model: that of its manifest, which holds those of all files."""
    return sha256(_read(folder, MANIFEST_FILE))


def read(folder: Path) -> ModelManifest:
    """What the manifest of a model folder says; nothing of it is checked.

    Raises:
        ModelError: it is missing or malformed; names the folder and where.
    """
    return _parsed(folder, _read(folder, MANIFEST_FILE))


def verify(folder: Path, use_case: UseCase, expected_manifest_sha256: str | None = None) -> ModelManifest:
    """The manifest of a model folder, after every claim of it was checked. Nothing is unpickled or run.

    Raises:
        ModelError: the manifest is missing, malformed, not the expected one or of another spec, or a file is missing or
            was changed; names the folder and what is wrong.
    """
    content = _read(folder, MANIFEST_FILE)
    found = sha256(content)
    if expected_manifest_sha256 is not None and found != expected_manifest_sha256:
        raise ModelError(
            f"{folder / MANIFEST_FILE} has the sha256 {found}, the registry says {expected_manifest_sha256}",
            remedy=REMEDY,
        )
    manifest = _parsed(folder, content)
    _check_spec(folder, manifest, use_case)
    unlisted = [name for name in manifest.required_files if name not in manifest.files]
    if unlisted:
        raise ModelError(f"the manifest of {folder} does not list {', '.join(unlisted)}", remedy=REMEDY)
    for name in manifest.files:
        read_file(folder, manifest, name)
    return manifest


def read_file(folder: Path, manifest: ModelManifest, name: str) -> bytes:
    """The content of one file of the folder, exactly as the manifest vouches for it: load from these bytes.

    Raises:
        ModelError: the file is not listed, is missing, or was changed.
    """
    if name not in manifest.files:
        raise ModelError(f"the manifest of {folder} does not list {name}", remedy=REMEDY)
    content = _read(folder, name)
    if sha256(content) != manifest.files[name]:
        raise ModelError(
            f"{folder / name} has the sha256 {sha256(content)}, the manifest says {manifest.files[name]}",
            remedy=REMEDY,
        )
    return content


def _parsed(folder: Path, content: bytes) -> ModelManifest:
    try:
        return ModelManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(f"{folder / MANIFEST_FILE} is malformed at {where}: {first['msg']}", remedy=REMEDY) from None


def _check_spec(folder: Path, manifest: ModelManifest, use_case: UseCase) -> None:
    claims: dict[str, tuple[Any, Any]] = {
        "use case": (manifest.use_case, use_case.name),
        "feature order": (manifest.features, use_case.feature_names),
        "task": (manifest.task, use_case.task),
        "label": (manifest.label, use_case.label.name),
        "order of classes": (manifest.classes, use_case.label.classes),
    }
    if manifest.transform is not None:
        claims["spec hash"] = (manifest.spec_hash, use_case.spec_hash)
    for claim, (found, expected) in claims.items():
        if found != expected:
            raise ModelError(
                f"the model in {folder} was trained for another {claim}: {_readable(found)}, "
                f"the spec of {use_case.name} says {_readable(expected)}",
                remedy=REMEDY,
            )


def _readable(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / name} cannot be read: {error.strerror}", remedy=REMEDY) from None
