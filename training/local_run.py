"""A training run on this machine, without a container: it is given the same folders and leaves the same files."""

import shutil
from pathlib import Path

from mlops_platform.files import locked
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots, snapshot_id
from mlops_platform.pipelines.training_run import JobFolders, check_spec, keep_results, lay_out, run_key
from mlops_platform.use_case.spec import UseCase
from training import container
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
    manifest = Snapshots(lake, use_case.name).get(snapshot)
    check_spec(use_case, manifest)
    run = work / use_case.name / snapshot_id(run_id)
    # a retry can meet its predecessor still running
    with locked(run.with_name(f".{run.name}.lock")):
        folders = JobFolders(run)
        lay_out(lake, manifest, run_id, git_sha, folders)
        verdict = container.run(folders, {}, registrar)
        keep_results(lake, folders.candidates, run_key(use_case.name, run_id))
        shutil.rmtree(run)
    return verdict
