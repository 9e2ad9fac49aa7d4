"""What a training run is a run of, and what is laid out for it, the same in both modes."""

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.pipelines.training_run import LakeMount, job_digest, lay_out
from mlops_platform.use_case.spec import QualityGate, UseCase

TRANSFORM = "f" * 64


def a_manifest(use_case: UseCase, **changed: Any) -> SnapshotManifest:
    return SnapshotManifest(
        **{
            "snapshot": "first",
            "use_case": use_case.name,
            "attempt": "attempt-1",
            "dataset_version": 1,
            "run_date": dt.date(2026, 1, 1),
            "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "spec_hash": use_case.spec_hash,
            "transform": TRANSFORM,
            "inputs": "1" * 64,
            "rows": 10,
            "entities": 5,
            "features_path": "features/credit_risk/snapshot=first/attempt-1",
            "online_path": "none",
            "quality": Quality(rows_read=10, rows_valid=10, rows_quarantined=0),
            **changed,
        }
    )


def published(lake: Lake, manifest: SnapshotManifest) -> Lake:
    snapshots = Snapshots(lake, manifest.use_case)
    with snapshots.republishing():
        snapshots.publish(manifest)
    return lake


def test_a_run_is_told_its_snapshot_and_the_commit_of_the_code(tmp_path: Path, credit_risk: UseCase) -> None:
    lake = published(Lake(tmp_path), a_manifest(credit_risk))
    run = "models/credit_risk/manual__1-19b04f56"
    mounts = lay_out(lake, credit_risk, "first", "manual__1", "0123abc-dirty")
    assert mounts == (
        LakeMount("features/credit_risk/snapshot=first/attempt-1", "/opt/ml/input/data/training", read_only=True),
        LakeMount(f"{run}/job/input/config", "/opt/ml/input/config", read_only=True),
        LakeMount(f"{run}/job/model", "/opt/ml/model", read_only=False),
        LakeMount(f"{run}/job/output", "/opt/ml/output", read_only=False),
        LakeMount(run, "/opt/ml/output/data", read_only=False),
    )
    assert json.loads(lake.read(f"{run}/job/input/config/hyperparameters.json")) == {
        "use_case": "credit_risk",
        "snapshot": "first",
        "run_id": "manual__1",
        "git_sha": "0123abc-dirty",
        "transform": TRANSFORM,
    }


def test_a_snapshot_of_another_spec_is_refused_in_both_modes(tmp_path: Path, credit_risk: UseCase) -> None:
    lake = published(Lake(tmp_path), a_manifest(credit_risk, spec_hash="0" * 64))
    with pytest.raises(SnapshotError) as caught:
        lay_out(lake, credit_risk, "first", "manual__1", "unknown")
    assert str(caught.value) == (
        "snapshot first was made for another spec of credit_risk. "
        "Remedy: publish a new snapshot: mlops run credit_risk features"
    )
    # what has no fingerprint has a spec hash of an older formula, which says nothing
    published(lake, a_manifest(credit_risk, spec_hash="0" * 64, transform=None))
    lay_out(lake, credit_risk, "first", "manual__1", "unknown")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("training", "mlops_platform/models"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "mlops_platform" / "models" / "scorer.py").write_text("digits = 12\n")
    (tmp_path / "training" / "train.py").write_text("trees = 100\n")
    (tmp_path / "requirements.txt").write_text("scikit-learn==1.9.1\n")
    return tmp_path


def test_the_same_job_is_known_by_what_it_depends_on(project: Path, credit_risk: UseCase) -> None:
    before = job_digest(credit_risk, a_manifest(credit_risk), project)
    later = a_manifest(credit_risk, snapshot="second", attempt="attempt-2", created_at=dt.datetime.now(dt.UTC))
    assert job_digest(credit_risk, later, project) == before
    (project / "training" / "train.py").write_text('"""Trains."""\n\ntrees = 100  # enough\n')
    reworded = credit_risk.model_copy(update={"description": "in other words", "title": "Risk"})
    assert job_digest(reworded, later, project) == before


def test_code_that_is_not_there_has_no_digest(project: Path, credit_risk: UseCase) -> None:
    shutil.rmtree(project / "training")
    with pytest.raises(FileNotFoundError):
        job_digest(credit_risk, a_manifest(credit_risk), project)


@pytest.mark.parametrize("changed", ["rows", "formulas", "rules", "seed", "code", "scorer", "libraries"])
def test_each_thing_that_a_job_depends_on_makes_it_another(project: Path, credit_risk: UseCase, changed: str) -> None:
    snapshot, use_case = a_manifest(credit_risk), credit_risk
    before = job_digest(use_case, snapshot, project)
    if changed == "rows":
        snapshot = a_manifest(credit_risk, inputs="2" * 64)
    elif changed == "formulas":
        snapshot = a_manifest(credit_risk, transform="e" * 64)
    elif changed == "rules":
        use_case = credit_risk.model_copy(update={"gate": QualityGate(minimum={"roc_auc": 0.6})})
    elif changed == "seed":
        use_case = credit_risk.model_copy(update={"seed": 1})
    elif changed == "code":
        (project / "training" / "train.py").write_text("trees = 101\n")
    elif changed == "scorer":
        (project / "mlops_platform" / "models" / "scorer.py").write_text("digits = 13\n")
    else:
        (project / "requirements.txt").write_text("scikit-learn==1.9.2\n")
    assert job_digest(use_case, snapshot, project) != before
