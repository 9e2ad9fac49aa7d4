"""What a training run is a run of, what is laid out for it, and what of it is kept: the same in both modes."""

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest
from mlops_platform.pipelines.training_run import JobFolders, check_spec, job_digest, keep_results, lay_out
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


def test_a_run_is_given_its_snapshot_and_told_the_commit_of_the_code(tmp_path: Path, credit_risk: UseCase) -> None:
    lake, folders = Lake(tmp_path / "lake"), JobFolders(tmp_path / "ml")
    manifest = a_manifest(credit_risk)
    (tmp_path / "rows").write_bytes(b"rows")
    lake.add(f"{manifest.features_path}/part-0.parquet", tmp_path / "rows")
    lay_out(lake, manifest, "manual__1", "0123abc-dirty", folders)
    assert (tmp_path / "ml/input/data/training/part-0.parquet").read_bytes() == b"rows"
    told = (tmp_path / "ml/input/config/hyperparameters.json").read_bytes()
    assert json.loads(told) == {
        "use_case": "credit_risk",
        "snapshot": "first",
        "run_id": "manual__1",
        "git_sha": "0123abc-dirty",
        "transform": TRANSFORM,
    }
    assert lake.read("models/credit_risk/manual__1-19b04f56/job/input/config/hyperparameters.json") == told


def test_a_snapshot_of_another_spec_is_refused(credit_risk: UseCase) -> None:
    with pytest.raises(SnapshotError) as caught:
        check_spec(credit_risk, a_manifest(credit_risk, spec_hash="0" * 64))
    assert str(caught.value) == (
        "snapshot first was made for another spec of credit_risk. "
        "Remedy: publish a new snapshot: mlops run credit_risk features"
    )
    # what has no fingerprint has a spec hash of an older formula, which says nothing
    check_spec(credit_risk, a_manifest(credit_risk, spec_hash="0" * 64, transform=None))


def write_model(candidates: Path, family: str, manifest: str) -> None:
    (candidates / family / "plots").mkdir(parents=True)
    (candidates / family / "manifest.json").write_text(manifest)
    (candidates / family / "plots" / "roc.png").write_text(f"drawn for {manifest}")


def test_the_models_and_the_verdict_of_a_run_are_kept_once(tmp_path: Path) -> None:
    lake, candidates = Lake(tmp_path / "lake"), tmp_path / "candidates"
    for attempt in ("one", "one", "another"):
        write_model(candidates, "random_forest", attempt)
        (candidates / ".random_forest.draft").mkdir()
        (candidates / ".random_forest.draft" / "manifest.json").touch()
        (candidates / "verdict.json").write_text(f"verdict on {attempt}")
        keep_results(lake, candidates, "models/credit_risk/run-1")
        shutil.rmtree(candidates)
        assert {key: lake.read(key).decode() for key in lake.keys("models")} == {
            "models/credit_risk/run-1/random_forest/manifest.json": attempt,
            "models/credit_risk/run-1/random_forest/plots/roc.png": f"drawn for {attempt}",
            "models/credit_risk/run-1/verdict.json": f"verdict on {attempt}",
        }


def test_a_run_without_a_verdict_keeps_nothing(tmp_path: Path) -> None:
    lake, candidates = Lake(tmp_path / "lake"), tmp_path / "candidates"
    write_model(candidates, "random_forest", "one")
    with pytest.raises(FileNotFoundError):
        keep_results(lake, candidates, "models/credit_risk/run-1")
    assert lake.keys("models") == []


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
