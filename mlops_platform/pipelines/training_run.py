"""A training run's container: what is laid out for it in the lake, and where the container finds it.

The layout is SageMaker's: the snapshot and the hyperparameters are read-only, the model and the output are written.
A run's files lie where the local mode has them, below ``models/<use_case>/<run>/``.
"""

from dataclasses import dataclass
from pathlib import Path

from mlops_platform.files import write_json
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import Snapshots, snapshot_id
from mlops_platform.use_case.spec import UseCase

OPT_ML = "/opt/ml"


@dataclass(frozen=True)
class LakeMount:
    """A folder of the lake, relative to its root, and where the container sees it."""

    folder: str
    target: str
    read_only: bool


def run_folder(use_case: UseCase, run_id: str) -> str:
    """Where a run leaves its candidates, relative to the lake's root."""
    lake = Lake(Path())
    return (lake.models(use_case.name) / snapshot_id(run_id)).as_posix()


def lay_out(lake: Lake, use_case: UseCase, snapshot: str, run_id: str) -> tuple[LakeMount, ...]:
    """Make a run's folders and write its hyperparameters; the mounts are what its container gets.

    Raises:
        SnapshotError: there is no such snapshot.
    """
    manifest = Snapshots(lake, use_case.name).get(snapshot)
    run = run_folder(use_case, run_id)
    mounts = (
        LakeMount(manifest.features_path, f"{OPT_ML}/input/data/training", read_only=True),
        LakeMount(f"{run}/job/input/config", f"{OPT_ML}/input/config", read_only=True),
        LakeMount(f"{run}/job/model", f"{OPT_ML}/model", read_only=False),
        LakeMount(f"{run}/job/output", f"{OPT_ML}/output", read_only=False),
        LakeMount(run, f"{OPT_ML}/output/data", read_only=False),
    )
    for mount in mounts[1:]:
        (lake.root / mount.folder).mkdir(parents=True, exist_ok=True)
    hyperparameters = {"use_case": use_case.name, "snapshot": manifest.snapshot, "run_id": run_id}
    write_json(lake.root / mounts[1].folder / "hyperparameters.json", hyperparameters)
    return mounts
