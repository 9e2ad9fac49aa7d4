"""A training run: what it is a run of, what is laid out for it and where, and what of it is kept in the lake.

The layout is SageMaker's, in both modes: as a container a run finds it below ``/opt/ml``, as a process in a folder of
this machine. What is kept lies below ``models/<use_case>/<run>/``.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mlops_platform.errors import SnapshotError
from mlops_platform.files import file_sha256, replace_file
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, snapshot_id
from mlops_platform.models.manifest import MANIFEST_FILE
from mlops_platform.models.registry import JOB_TAG, ModelRegistry
from mlops_platform.models.verdict import VERDICT_FILE
from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.fingerprint import syntax_fingerprint
from mlops_platform.use_case.spec import UseCase

CHANNEL = "training"
"""The channel of a job that its snapshot comes by."""


@dataclass(frozen=True)
class JobFolders:
    """Where a job's files lie, below a prefix that is ``/opt/ml`` in a container::

    input/config/hyperparameters.json   the job (``training.job``); every value is a string
    input/data/<channel>/               the snapshot's parquet
    model/                              the best candidate's model folder, when all went well
    output/data/                        every candidate's folder and the verdict
    output/failure                      why there is no model
    """

    prefix: Path

    @property
    def hyperparameters(self) -> Path:
        return self.prefix / "input" / "config" / "hyperparameters.json"

    @property
    def channels(self) -> Path:
        return self.prefix / "input" / "data"

    @property
    def candidates(self) -> Path:
        return self.prefix / "output" / "data"

    @property
    def model(self) -> Path:
        return self.prefix / "model"

    @property
    def failure(self) -> Path:
        return self.prefix / "output" / "failure"


OPT_ML = JobFolders(Path("/opt/ml"))


def run_key(use_case: str, run_id: str) -> str:
    """Where a run leaves its candidates and its verdict, in the lake."""
    return f"{layout.models(use_case)}/{snapshot_id(run_id)}"


def check_spec(use_case: UseCase, snapshot: SnapshotManifest) -> None:
    """Raises SnapshotError where the snapshot was made for another spec of the use case."""
    # what was made before the transform had a fingerprint has a spec hash of an older formula
    if snapshot.transform is not None and snapshot.spec_hash != use_case.spec_hash:
        raise SnapshotError(
            f"snapshot {snapshot.snapshot} was made for another spec of {use_case.name}",
            remedy=f"publish a new snapshot: mlops run {use_case.name} features",
        )


def lay_out(lake: Lake, snapshot: SnapshotManifest, run_id: str, git_sha: str, folders: JobFolders) -> None:
    """Put what a run is given into its folders: what it is told, which the lake keeps as well, and the snapshot's rows.

    Raises:
        LakeError: the snapshot's rows are gone.
    """
    job = {
        "use_case": snapshot.use_case,
        "snapshot": snapshot.snapshot,
        "run_id": run_id,
        "git_sha": git_sha,
        **({"transform": snapshot.transform} if snapshot.transform else {}),
    }
    content = (json.dumps(job, indent=2) + "\n").encode()
    lake.put(f"{run_key(snapshot.use_case, run_id)}/job/input/config/hyperparameters.json", content)
    replace_file(folders.hyperparameters, content)
    lake.fetch(snapshot.features_path, folders.channels / CHANNEL)


def keep_results(lake: Lake, candidates: Path, run: str) -> None:
    """Take what a run made into the lake, below the key ``run``: the models, and last the verdict.

    Done twice, it is done once. Each model's manifest comes last: with it, the model is whole.

    Args:
        candidates: the folder where the run left them (``JobFolders.candidates``).

    Raises:
        LakeError: the lake does not take a file's name.
        OSError: the run left no verdict.
    """
    verdict = (candidates / VERDICT_FILE).read_bytes()
    for manifest in sorted(candidates.glob(f"[!.]*/{MANIFEST_FILE}")):
        _keep_model(lake, manifest.parent, f"{run}/{manifest.parent.name}")
    lake.put(f"{run}/{VERDICT_FILE}", verdict)


def _keep_model(lake: Lake, model: Path, prefix: str) -> None:
    if lake.read_if_there(f"{prefix}/{MANIFEST_FILE}") == (model / MANIFEST_FILE).read_bytes():
        return
    lake.delete(prefix)
    files = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
    for file in sorted(files, key=lambda file: file == MANIFEST_FILE):
        lake.add(f"{prefix}/{file}", model / file)


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
