"""Registration and promotion against a real MLflow server."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.use_case.spec import UseCase
from tests.training.small_snapshots import a_job
from training import train
from training.promotion import Promotion, promote, roll_back
from training.registry import Registry
from training.train import TrainingVerdict


class Trained(NamedTuple):
    """Two runs that were accepted and one that was not, all registered."""

    first: TrainingVerdict
    second: TrainingVerdict
    rejected: TrainingVerdict
    folder: Path


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, mlflow_url: str, snapshot: Path, random_snapshot: Path
) -> Trained:
    folder, registry = tmp_path_factory.mktemp("models"), Registry(mlflow_url)
    first, second, rejected = (
        train.run(a_job(run, families="logistic_regression"), data, folder / run, registry)
        for run, data in (("run-1", snapshot), ("run-2", snapshot), ("run-3", random_snapshot))
    )
    return Trained(first, second, rejected, folder)


@pytest.fixture
def client(mlflow_url: str) -> Iterator[MlflowClient]:
    """MLflow, whose aliases are taken away before and after each test."""
    client = MlflowClient(tracking_uri=mlflow_url)

    def forget() -> None:
        for alias in client.get_registered_model("credit_risk").aliases:
            client.delete_registered_model_alias("credit_risk", alias)

    forget()
    yield client
    forget()


def aliases(client: MlflowClient) -> dict[str, str]:
    return {alias: str(v) for alias, v in client.get_registered_model("credit_risk").aliases.items()}


def test_a_candidate_is_a_version_with_its_folder_metrics_and_tags(
    trained: Trained, client: MlflowClient, tmp_path: Path, registry: Registry, credit_risk: UseCase
) -> None:
    version = client.get_model_version("credit_risk", trained.first.model_version)
    folder = trained.folder / "run-1" / "logistic_regression"
    assert version.tags == {
        "use_case": "credit_risk",
        "snapshot": "first",
        "family": "logistic_regression",
        "run_id": "run-1",
        "spec_hash": credit_risk.spec_hash,
        "git_sha": "0" * 40,
        "manifest_sha256": model_manifest.manifest_sha256(folder),
        "quality_gate": "accepted",
    }
    assert version.run_id is not None
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["average_precision"] == trained.first.metrics["average_precision"]
    assert run.data.metrics["baseline_roc_auc"] == 0.5
    assert run.data.params["C"] == "1.0"
    downloaded, manifest = registry.download(version, credit_risk, tmp_path)
    assert manifest.run_id == "run-1"
    for name in manifest.files:
        assert (downloaded / name).read_bytes() == (folder / name).read_bytes()


def test_a_retry_makes_no_second_version(
    trained: Trained, client: MlflowClient, registry: Registry, snapshot: Path
) -> None:
    before = {version.version for version in client.search_model_versions("name = 'credit_risk'")}
    again = train.run(a_job("run-1", families="logistic_regression"), snapshot, trained.folder / "run-1", registry)
    assert again == trained.first
    assert {version.version for version in client.search_model_versions("name = 'credit_risk'")} == before


def test_a_run_whose_version_was_not_made_is_taken_up(
    trained: Trained, client: MlflowClient, registry: Registry, snapshot: Path, tmp_path: Path
) -> None:
    job = a_job("run-cut-off", families="logistic_regression")
    cut_off = train.run(job, snapshot, tmp_path, registry)
    run_id = client.get_model_version("credit_risk", cut_off.model_version).run_id
    client.delete_model_version("credit_risk", cut_off.model_version)
    again = train.run(job, snapshot, tmp_path, registry)
    assert again.model_version != cut_off.model_version
    assert client.get_model_version("credit_risk", again.model_version).run_id == run_id
    client.delete_model_version("credit_risk", again.model_version)


def test_promotion_moves_the_alias_once_and_rollback_moves_it_back(
    trained: Trained, client: MlflowClient, registry: Registry, credit_risk: UseCase
) -> None:
    first, second = trained.first.model_version, trained.second.model_version
    assert promote(registry, credit_risk, first) == Promotion(
        use_case="credit_risk", model_version=first, previous_version=None, changed=True
    )
    promote(registry, credit_risk, second)
    assert aliases(client) == {"champion": second, "previous": first}
    assert promote(registry, credit_risk, second) == Promotion(
        use_case="credit_risk", model_version=second, previous_version=first, changed=False
    )
    assert aliases(client) == {"champion": second, "previous": first}
    assert roll_back(registry, credit_risk).model_version == first
    assert aliases(client) == {"champion": first, "previous": second}


def test_a_rejected_candidate_is_registered_but_leaves_the_champion(
    trained: Trained, client: MlflowClient, registry: Registry, credit_risk: UseCase
) -> None:
    promote(registry, credit_risk, trained.first.model_version)
    version = trained.rejected.model_version
    assert client.get_model_version("credit_risk", version).tags["quality_gate"] == "rejected"
    with pytest.raises(ModelError) as caught:
        promote(registry, credit_risk, version)
    assert str(caught.value) == (
        f"version {version} of credit_risk is not accepted: its tag quality_gate says rejected. "
        "Remedy: promote a version that passed the quality gate"
    )
    assert aliases(client) == {"champion": trained.first.model_version}


def test_what_cannot_be_promoted_leaves_the_champion(
    trained: Trained, client: MlflowClient, registry: Registry, credit_risk: UseCase
) -> None:
    promote(registry, credit_risk, trained.first.model_version)
    with pytest.raises(ModelError, match="credit_risk has no model version 99; registered: 1, 2, 3"):
        promote(registry, credit_risk, "99")
    with pytest.raises(ModelError, match="credit_risk has no previous champion"):
        roll_back(registry, credit_risk)
    assert aliases(client) == {"champion": trained.first.model_version}


def test_files_that_are_not_those_registered_are_not_promoted(
    trained: Trained, client: MlflowClient, registry: Registry, credit_risk: UseCase, tmp_path: Path
) -> None:
    source = client.get_model_version("credit_risk", trained.second.model_version)
    assert source.run_id is not None
    forged = tmp_path / "model"
    shutil.copytree(trained.folder / "run-2" / "logistic_regression", forged)
    (forged / "model.joblib").write_bytes(b"evil")
    client.log_artifacts(source.run_id, str(forged), "model")
    try:
        with pytest.raises(ModelError, match=r"model\.joblib has the sha256 [0-9a-f]{64}, the manifest says"):
            promote(registry, credit_risk, trained.second.model_version)
        assert aliases(client) == {}
    finally:
        client.log_artifacts(source.run_id, str(trained.folder / "run-2" / "logistic_regression"), "model")


def test_a_candidate_is_compared_with_the_champion_on_its_holdout(
    trained: Trained, client: MlflowClient, registry: Registry, snapshot: Path, tmp_path: Path
) -> None:
    champion = trained.first.model_version
    worse = a_job("run-worse", families="logistic_regression", **{"logistic_regression.C": "1e-9"})
    credit_risk = worse.use_case
    promote(registry, credit_risk, champion)
    strict = credit_risk.gate.model_copy(update={"largest_loss_to_champion": {"brier": 0.001}})
    job = dataclasses.replace(worse, use_case=credit_risk.model_copy(update={"gate": strict}))
    verdict = train.run(job, snapshot, tmp_path, registry)
    assert (verdict.accepted, verdict.champion_version, verdict.notes) == (False, champion, ())
    assert f"to the champion's {trained.first.metrics['brier']:.4f} on the same holdout" in verdict.failed_rules[-1]
    client.delete_model_version("credit_risk", verdict.model_version)


def test_a_champion_that_cannot_be_verified_is_said_and_not_compared(
    trained: Trained, client: MlflowClient, registry: Registry, snapshot: Path, tmp_path: Path
) -> None:
    first = client.get_model_version("credit_risk", trained.first.model_version)
    assert first.source is not None
    foreign = client.create_model_version("credit_risk", first.source, run_id=first.run_id).version
    client.set_registered_model_alias("credit_risk", "champion", foreign)
    verdict = train.run(a_job("run-4", families="logistic_regression"), snapshot, tmp_path, registry)
    assert (verdict.accepted, verdict.champion_version) == (True, str(foreign))
    assert verdict.notes == (
        (
            f"not compared with the champion, version {foreign}: "
            f"version {foreign} of credit_risk has no tag manifest_sha256"
        ),
    )
    client.delete_registered_model_alias("credit_risk", "champion")
    for version in (verdict.model_version, foreign):
        client.delete_model_version("credit_risk", version)
