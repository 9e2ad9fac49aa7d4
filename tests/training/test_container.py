"""SageMaker's contract, and the command that keeps it, as a child process the way Airflow starts it."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_platform.errors import ModelError, PlatformError
from mlops_platform.files import write_json
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.models.manifest import verify
from mlops_platform.pipelines.training_run import JobFolders
from mlops_platform.settings import load_settings
from mlops_platform.use_case.spec import UseCase
from tests.training.small_snapshots import credit_risk_rows, write_parquet
from training import container
from training.__main__ import main

HYPERPARAMETERS = {
    "use_case": "credit_risk",
    "snapshot": "first",
    "run_id": "job-1",
    "families": "random_forest",
    "random_forest.n_estimators": "4",
}


@pytest.fixture
def folders(tmp_path: Path, snapshot: Path) -> JobFolders:
    """A job as SageMaker lays it out."""
    found = JobFolders(tmp_path / "ml")
    write_json(found.hyperparameters, HYPERPARAMETERS)
    found.channels.mkdir(parents=True)
    (found.channels / "training").symlink_to(snapshot, target_is_directory=True)
    return found


def test_the_container_leaves_the_best_model_where_sagemaker_looks(folders: JobFolders, credit_risk: UseCase) -> None:
    folders.failure.parent.mkdir(parents=True)
    folders.failure.write_text("of the attempt before")
    verdict = container.run(folders, {}, None)
    manifest = verify(folders.prefix / "model", credit_risk)
    assert (manifest.family, manifest.parameters["n_estimators"], manifest.run_id) == ("random_forest", 4, "job-1")
    assert json.loads((folders.prefix / "output" / "data" / "verdict.json").read_text()) == json.loads(
        verdict.model_dump_json()
    )
    assert not folders.failure.exists()


def test_an_option_goes_before_the_file(folders: JobFolders, credit_risk: UseCase) -> None:
    container.run(folders, {"run_id": "job-2"}, None)
    assert verify(folders.model, credit_risk).run_id == "job-2"


@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        (
            {"use_case": "credit_risk"},
            "the hyperparameters lack snapshot, run_id. Remedy: add them to hyperparameters.json",
        ),
        (
            {**HYPERPARAMETERS, "use_case": "credit_rsk"},
            "there is no use case 'credit_rsk'. Remedy: did you mean 'credit_risk'? the use cases are ",
        ),
    ],
)
def test_a_failure_is_written_as_it_is_raised(
    folders: JobFolders, hyperparameters: dict[str, str], message: str
) -> None:
    folders.hyperparameters.write_text(json.dumps(hyperparameters))
    with pytest.raises(PlatformError) as caught:
        container.run(folders, {}, None)
    assert str(caught.value).startswith(message)
    assert folders.failure.read_text() == f"{caught.value}\n"
    assert not folders.model.exists()


def test_an_error_that_nobody_foresaw_is_written_with_its_origin(
    folders: JobFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr("training.container.train.run", breaks)
    with pytest.raises(MemoryError):
        container.run(folders, {}, None)
    assert folders.failure.read_text().startswith("Traceback")
    assert folders.failure.read_text().endswith("MemoryError: too large\n")


def test_the_only_channel_is_taken_whatever_its_name(folders: JobFolders, snapshot: Path) -> None:
    training = folders.channels / "training"
    training.rename(folders.channels / "features")
    assert container.run(folders, {}, None).family == "random_forest"
    (folders.channels / "validation").symlink_to(snapshot)
    with pytest.raises(ModelError) as caught:
        container.run(folders, {}, None)
    assert str(caught.value) == (
        f"{folders.channels} has the channels: features, validation. Remedy: mount the snapshot's parquet as training"
    )


def test_hyperparameters_that_are_no_object_are_refused(folders: JobFolders) -> None:
    folders.hyperparameters.write_text("[1]")
    with pytest.raises(ModelError, match=r"hyperparameters\.json holds no JSON object"):
        container.run(folders, {}, None)
    folders.hyperparameters.write_text("{")
    with pytest.raises(ModelError, match=r"hyperparameters\.json cannot be read"):
        container.run(folders, {}, None)


@pytest.fixture
def environment(tmp_path: Path, mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation with a published snapshot and a registry."""
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)


def test_train_and_promote_as_airflow_runs_them(
    tmp_path: Path, environment: None, credit_risk: UseCase, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(Lake(tmp_path / "lake"), credit_risk, "second")
    run_id = "manual__2026-01-02T03:04:05+00:00"
    job = ("--use-case", "credit_risk", "--snapshot", "second", "--run-id", run_id)
    trained = subprocess.run(
        [sys.executable, "-m", "training", "train", *job], capture_output=True, text=True, check=False
    )
    assert trained.returncode == 0, trained.stderr
    # nothing but the verdict, although MLflow prints as it goes
    (line,) = trained.stdout.splitlines()
    verdict = json.loads(line)
    assert (verdict["accepted"], verdict["snapshot"], verdict["run_id"]) == (True, "second", run_id)
    run_folder = tmp_path / "lake" / "models" / "credit_risk" / snapshot_id(run_id)
    assert json.loads((run_folder / "job" / "input" / "config" / "hyperparameters.json").read_text()) == {
        "use_case": "credit_risk",
        "snapshot": "second",
        "run_id": run_id,
        "git_sha": load_settings().git_sha,
    }
    assert not any((tmp_path / "training" / "credit_risk").glob("[!.]*")), "the work folder of a run that ended well"
    assert json.loads((run_folder / "verdict.json").read_text()) == verdict
    assert verify(run_folder / verdict["family"], credit_risk).run_id == run_id

    version = verdict["model_version"]
    assert main(["promote", "--use-case", "credit_risk", "--version", version]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == version
    assert main(["promote", "--use-case", "credit_risk", "--version", "4711"]) == 1
    assert "error: credit_risk has no model version 4711; registered: " in capsys.readouterr().err


def test_train_says_what_it_lacks(environment: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--use-case", "credit_risk"]) == 1
    assert capsys.readouterr().err == (
        "error: train lacks --snapshot, --run-id. Remedy: give all three, or none in a container\n"
    )
    assert main(["train", "--use-case", "credit_risk", "--snapshot", "none", "--run-id", "run-1"]) == 1
    assert "error: credit_risk has no snapshot 'none'; published: none yet" in capsys.readouterr().err


def test_a_container_is_told_its_folders(
    folders: JobFolders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], credit_risk: UseCase
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["train", "--prefix", str(folders.prefix), "--run-id", "job-3"]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == "unregistered"
    assert verify(folders.model, credit_risk).run_id == "job-3"


def publish(lake: Lake, use_case: UseCase, name: str) -> None:
    snapshots = Snapshots(lake, use_case.name)
    attempt = snapshots.claim(name)
    key = snapshots.features_key(name, attempt)
    with lake.scratch() as folder:
        for file in write_parquet(folder / "features", credit_risk_rows(use_case)).iterdir():
            lake.add(f"{key}/{file.name}", file)
    with snapshots.publishing(name, attempt):
        snapshots.publish(
            SnapshotManifest(
                snapshot=name,
                use_case=use_case.name,
                attempt=attempt,
                dataset_version=1,
                run_date=dt.date(2021, 1, 1),
                created_at=dt.datetime(2021, 1, 1, tzinfo=dt.UTC),
                spec_hash=use_case.spec_hash,
                rows=3000,
                entities=2700,
                features_path=key,
                online_path="none",
                quality=Quality(rows_read=3000, rows_valid=3000, rows_quarantined=0),
            )
        )
