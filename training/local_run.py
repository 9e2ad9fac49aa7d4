"""A training run on this machine, without a container: it is given the same folders and leaves the same files."""

import shutil
from pathlib import Path

from mlops_platform.files import locked
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import snapshot_id
from mlops_platform.models.manifest import MANIFEST_FILE
from mlops_platform.models.verdict import VERDICT_FILE
from mlops_platform.pipelines.training_run import OPT_ML, lay_out, run_key
from mlops_platform.use_case.spec import UseCase
from training import container
from training.container import JobFolders
from training.register import Registrar
from training.verdict import TrainingVerdict


def train(
    lake: Lake,
    use_case: UseCase,
    snapshot: str,
    run_id: str,
    *,
    git_sha: str,
    work: Path,
    registrar: Registrar,
) -> TrainingVerdict:
    """Train on a snapshot of the lake; the candidates and the verdict are in the lake when this returns.

    Args:
        work: a folder of this machine; what a killed attempt left there is taken up by the next one of its run.
    """
    run = work / use_case.name / snapshot_id(run_id)
    # a retry can meet its predecessor still running
    with locked(run.with_name(f".{run.name}.lock")):
        folders = JobFolders(run)
        for mount in lay_out(lake, use_case, snapshot, run_id, git_sha):
            if mount.read_only:
                lake.fetch(mount.key, run / Path(mount.target).relative_to(OPT_ML))
        verdict = container.run(folders, {}, registrar)
        key = run_key(use_case, run_id)
        for candidate in verdict.candidates:
            _keep(lake, folders.candidates / candidate.family, f"{key}/{candidate.family}")
        lake.put(f"{key}/{VERDICT_FILE}", (folders.candidates / VERDICT_FILE).read_bytes())
        shutil.rmtree(run)
    return verdict


def _keep(lake: Lake, model: Path, prefix: str) -> None:
    """Take a model folder in, its manifest last: with it, the folder is whole."""
    if lake.read_if_there(f"{prefix}/{MANIFEST_FILE}") == (model / MANIFEST_FILE).read_bytes():
        return
    lake.delete(prefix)
    files = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
    for file in sorted(files, key=lambda file: file == MANIFEST_FILE):
        lake.add(f"{prefix}/{file}", model / file)
