"""A training run: what it is a run of, what is laid out for it in the lake, and where its container finds it.

The layout is SageMaker's: the snapshot and the hyperparameters are read-only, the model and the output are written. A
run's files lie below ``models/<use_case>/<run>/``, in both modes.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlops_platform.errors import SnapshotError
from mlops_platform.files import file_sha256
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.models.registry import JOB_TAG, ModelRegistry
from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.fingerprint import syntax_fingerprint
from mlops_platform.use_case.spec import UseCase

OPT_ML = "/opt/ml"


@dataclass(frozen=True)
class LakeMount:
    """A folder of the lake, by its key, and where the container sees it."""

    key: str
    target: str
    read_only: bool


def run_key(use_case: UseCase, run_id: str) -> str:
    """Where a run leaves its candidates and its verdict."""
    return f"{layout.models(use_case.name)}/{snapshot_id(run_id)}"


def lay_out(lake: Lake, use_case: UseCase, snapshot: str, run_id: str, git_sha: str) -> tuple[LakeMount, ...]:
    """Write a run's hyperparameters; the mounts are what it is given and where it leaves what it makes.

    Raises:
        SnapshotError: there is no such snapshot, or it was made for another spec.
    """
    manifest = Snapshots(lake, use_case.name).get(snapshot)
    # what was made before the transform had a fingerprint has a spec hash of an older formula
    if manifest.transform is not None and manifest.spec_hash != use_case.spec_hash:
        raise SnapshotError(
            f"snapshot {manifest.snapshot} was made for another spec of {use_case.name}",
            remedy=f"publish a new snapshot: mlops run {use_case.name} features",
        )
    run = run_key(use_case, run_id)
    hyperparameters = {
        "use_case": use_case.name,
        "snapshot": manifest.snapshot,
        "run_id": run_id,
        "git_sha": git_sha,
        **({"transform": manifest.transform} if manifest.transform else {}),
    }
    config = f"{run}/job/input/config"
    lake.put(f"{config}/hyperparameters.json", (json.dumps(hyperparameters, indent=2) + "\n").encode())
    return (
        LakeMount(manifest.features_path, f"{OPT_ML}/input/data/training", read_only=True),
        LakeMount(config, f"{OPT_ML}/input/config", read_only=True),
        LakeMount(f"{run}/job/model", f"{OPT_ML}/model", read_only=False),
        LakeMount(f"{run}/job/output", f"{OPT_ML}/output", read_only=False),
        LakeMount(run, f"{OPT_ML}/output/data", read_only=False),
    )


def job_digest(use_case: UseCase, snapshot: SnapshotManifest, project_root: Path) -> str:
    """Sha256 (64 hex digits) of all that the models of a training run depend on. Two runs of one digest fit the same.

    That is the snapshot's rows, the spec, the code that trains, and the libraries. No date and no name of a run, nor
    the champion that they were judged beside: to have them judged anew is to force the run.

    Raises:
        OSError: a file of the code is missing.
    """
    folders = (project_root / "training", project_root / "mlops_platform" / "models")
    code = [path for folder in folders for path in (folder / "__init__.py", *sorted(folder.glob("*.py")))]
    code.append(file_of(use_case.name, "model"))
    parts = {
        "snapshot": [snapshot.inputs or snapshot.attempt, snapshot.rows, snapshot.transform],
        "spec": use_case.spec_hash,
        "training": use_case.model_dump(mode="json", include={"candidates", "primary_metric", "gate", "seed"}),
        "code": [(path.parent.name, path.name, syntax_fingerprint(path.read_bytes())) for path in code],
        "libraries": file_sha256(project_root / "requirements.txt"),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def version_of_job(registry: ModelRegistry, use_case: str, digest: str) -> str | None:
    """The newest registered version, if it is a result of this job and all that follows from the verdict is done."""
    newest = next(iter(registry.versions(use_case)), None)
    return newest.version if newest is not None and newest.tags.get(JOB_TAG) == digest else None


def note_done(registry: ModelRegistry, use_case: str, versions: Iterable[str], digest: str) -> None:
    """Note on the versions of a job that it is done: promoted, rejected or not approved.

    Not before: a job whose promotion failed has to be done again.
    """
    for version in versions:
        registry.set_tag(use_case, version, JOB_TAG, digest)
