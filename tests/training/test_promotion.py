"""Registration and promotion against a real MLflow server."""

import dataclasses
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlflow import MlflowClient

from mlops_platform.errors import ModelError
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.promotion import Promotion, promote, roll_back
from mlops_platform.models.registry import ModelRegistry, RegistryDown
from mlops_platform.models.verdict import Decision
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase
from tests.processes import free_port
from tests.training.small_snapshots import a_job
from training import train
from training.register import Registrar
from training.verdict import TrainingVerdict


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
    folder, registrar = tmp_path_factory.mktemp("models"), Registrar(mlflow_url)
    first, second, rejected = (
        train.run(a_job(run, families="logistic_regression"), data, folder / run, registrar)
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
    trained: Trained, client: MlflowClient, tmp_path: Path, registry: ModelRegistry, credit_risk: UseCase
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
        "verdict": "accepted",
    }
    assert version.run_id is not None
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["average_precision"] == trained.first.metrics["average_precision"]
    assert run.data.metrics["baseline_roc_auc"] == 0.5
    assert run.data.params["C"] == "1.0"
    manifest = registry.download_model(registry.version("credit_risk", version.version), credit_risk, tmp_path)
    assert manifest.run_id == "run-1"
    for name in manifest.files:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_retry_makes_no_second_version(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path
) -> None:
    before = {version.version for version in client.search_model_versions("name = 'credit_risk'")}
    again = train.run(a_job("run-1", families="logistic_regression"), snapshot, trained.folder / "run-1", registrar)
    assert again == trained.first
    assert {version.version for version in client.search_model_versions("name = 'credit_risk'")} == before


def test_a_run_whose_version_was_not_made_is_taken_up(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    job = a_job("run-cut-off", families="logistic_regression")
    cut_off = train.run(job, snapshot, tmp_path, registrar)
    run_id = client.get_model_version("credit_risk", cut_off.model_version).run_id
    client.delete_model_version("credit_risk", cut_off.model_version)
    again = train.run(job, snapshot, tmp_path, registrar)
    assert again.model_version != cut_off.model_version
    assert client.get_model_version("credit_risk", again.model_version).run_id == run_id
    client.delete_model_version("credit_risk", again.model_version)


def test_promotion_moves_the_alias_and_rollback_moves_it_back_each_once(
    trained: Trained, client: MlflowClient, registry: ModelRegistry, credit_risk: UseCase
) -> None:
    first, second = trained.first.model_version, trained.second.model_version
    to_first = Promotion(use_case="credit_risk", model_version=first, previous_version=None, changed=True)
    assert promote(registry, credit_risk, first) == to_first
    assert aliases(client) == {"champion": first, "best": first}
    to_second = Promotion(use_case="credit_risk", model_version=second, previous_version=first, changed=True)
    assert promote(registry, credit_risk, second) == to_second
    # as good as the first, so that stays the best
    assert aliases(client) == {"champion": second, "previous": first, "best": first}
    assert promote(registry, credit_risk, second) == to_second.model_copy(update={"changed": False})
    assert aliases(client) == {"champion": second, "previous": first, "best": first}
    back = Promotion(use_case="credit_risk", model_version=first, previous_version=second, changed=True)
    assert roll_back(registry, credit_risk) == back
    assert aliases(client) == {"champion": first, "previous": second, "best": first}
    assert roll_back(registry, credit_risk) == back.model_copy(update={"changed": False})
    assert aliases(client) == {"champion": first, "previous": second, "best": first}
    # what was rolled back can be promoted again, and rolled back again
    assert promote(registry, credit_risk, second) == to_second
    assert roll_back(registry, credit_risk) == back


class Killed(BaseException):
    """Nothing catches it: what comes after does not happen."""


class DiesAtWrite(ModelRegistry):
    """A registry whose caller is killed before its n-th write."""

    def __init__(self, url: str, writes: int) -> None:
        super().__init__(url)
        self.left = writes

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        if method != "GET":
            if self.left == 0:
                raise Killed
            self.left -= 1
        return super()._call(method, path, **arguments)


@pytest.mark.parametrize("move", ["promote", "roll back"])
def test_killed_at_any_write_the_registry_is_right_and_the_same_call_ends_it(
    trained: Trained, client: MlflowClient, mlflow_url: str, registry: ModelRegistry, move: str
) -> None:
    credit_risk = get_use_case("credit_risk")
    first, second = trained.first.model_version, trained.second.model_version
    begin, end = (first, second) if move == "promote" else (second, first)

    def act(on: ModelRegistry) -> Promotion:
        return promote(on, credit_risk, second) if move == "promote" else roll_back(on, credit_risk)

    def start() -> None:
        for alias in aliases(client):
            client.delete_registered_model_alias("credit_risk", alias)
        promote(registry, credit_risk, first)
        if move == "roll back":
            promote(registry, credit_risk, second)

    for writes in itertools.count():
        start()
        dies = DiesAtWrite(mlflow_url, writes)
        try:
            act(dies)
        except Killed:
            pass
        else:
            break
        assert aliases(client)["champion"] in (begin, end)
        if aliases(client)["champion"] == second:
            # whether or not `previous` has followed yet, the way back is known
            assert roll_back(registry, credit_risk).model_version == first
            promote(registry, credit_risk, begin)
            continue
        act(registry)
        assert aliases(client) == {"champion": end, "previous": begin, "best": first}
    assert writes >= 2, "the tags, the alias, and what follows from it are writes of their own"
    assert aliases(client) == {"champion": end, "previous": begin, "best": first}


def test_a_version_of_before_verdicts_had_this_name_can_be_promoted_and_rolled_back(
    trained: Trained, client: MlflowClient, registry: ModelRegistry, credit_risk: UseCase
) -> None:
    first, second = trained.first.model_version, trained.second.model_version
    for version in (first, second):
        client.delete_model_version_tag("credit_risk", version, "verdict")
        client.set_model_version_tag("credit_risk", version, "quality_gate", "accepted")
        registry.delete_tag("credit_risk", version, "promoted_from")
        registry.delete_tag("credit_risk", version, "rolled_back_from")
    client.set_registered_model_alias("credit_risk", "champion", second)
    client.set_registered_model_alias("credit_risk", "previous", first)
    try:
        assert roll_back(registry, credit_risk).model_version == first
        assert promote(registry, credit_risk, second).previous_version == first
    finally:
        for version in (first, second):
            client.delete_model_version_tag("credit_risk", version, "quality_gate")
            client.set_model_version_tag("credit_risk", version, "verdict", "accepted")


def test_a_rejected_candidate_is_registered_but_leaves_the_champion(
    trained: Trained, client: MlflowClient, registry: ModelRegistry, credit_risk: UseCase
) -> None:
    promote(registry, credit_risk, trained.first.model_version)
    version = trained.rejected.model_version
    assert client.get_model_version("credit_risk", version).tags["verdict"] == "rejected"
    with pytest.raises(ModelError) as caught:
        promote(registry, credit_risk, version)
    assert str(caught.value) == (
        f"version {version} of credit_risk is not accepted: its tag verdict says rejected. "
        "Remedy: promote a version that was not rejected"
    )
    assert aliases(client) == {"champion": trained.first.model_version, "best": trained.first.model_version}


def test_what_cannot_be_promoted_leaves_the_champion(
    trained: Trained, client: MlflowClient, registry: ModelRegistry, credit_risk: UseCase
) -> None:
    promote(registry, credit_risk, trained.first.model_version)
    with pytest.raises(ModelError, match="credit_risk has no model version 99; registered: 1, 2, 3"):
        promote(registry, credit_risk, "99")
    with pytest.raises(ModelError, match="credit_risk has no previous champion"):
        roll_back(registry, credit_risk)
    assert aliases(client) == {"champion": trained.first.model_version, "best": trained.first.model_version}


def test_files_that_are_not_those_registered_are_not_promoted(
    trained: Trained, client: MlflowClient, registry: ModelRegistry, credit_risk: UseCase, tmp_path: Path
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
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    champion = trained.first.model_version
    worse = a_job("run-worse", families="logistic_regression", **{"logistic_regression.C": "1e-9"})
    credit_risk = worse.use_case
    promote(registrar.registry, credit_risk, champion)
    strict = credit_risk.gate.model_copy(update={"largest_loss_to_champion": {"brier": 0.001}})
    job = dataclasses.replace(worse, use_case=credit_risk.model_copy(update={"gate": strict}))
    verdict = train.run(job, snapshot, tmp_path, registrar)
    assert (verdict.accepted, verdict.champion_version, verdict.incomparable) == (False, champion, ())
    assert f"to the champion's {trained.first.metrics['brier']:.4f} on the same holdout" in verdict.failed_rules[-1]
    client.delete_model_version("credit_risk", verdict.model_version)


def test_a_retry_is_judged_anew_by_the_champion_of_its_own_day(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    worse = a_job("run-worse", families="logistic_regression", **{"logistic_regression.C": "1e-9"})
    gate = worse.use_case.gate.model_copy(update={"largest_loss_to_champion": {"brier": 0.001}})
    lenient = gate.model_copy(update={"minimum": {}, "gain_over_baseline": {}})
    job = dataclasses.replace(worse, use_case=worse.use_case.model_copy(update={"gate": lenient}))
    before = train.run(job, snapshot, tmp_path, registrar)
    assert before.decision == Decision.ACCEPTED
    promote(registrar.registry, job.use_case, trained.first.model_version)
    after = train.run(job, snapshot, tmp_path, registrar)
    assert (after.model_version, after.decision) == (before.model_version, Decision.REJECTED)
    assert client.get_model_version("credit_risk", after.model_version).tags["verdict"] == "rejected"
    client.delete_model_version("credit_risk", after.model_version)


def test_a_promoted_model_that_is_clearly_better_than_the_best_takes_its_place(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    weak = a_job("run-weak", families="logistic_regression", **{"logistic_regression.C": "1e-9"})
    gate = weak.use_case.gate.model_copy(update={"minimum": {}, "gain_over_baseline": {}})
    use_case = weak.use_case.model_copy(update={"gate": gate, "primary_metric": "brier"})
    first = train.run(dataclasses.replace(weak, use_case=use_case, seed=3), snapshot, tmp_path / "weak", registrar)
    promote(registrar.registry, use_case, first.model_version)
    # with so small a C every row gets the share of positives
    strong = a_job("run-strong", families="logistic_regression")
    second = train.run(dataclasses.replace(strong, use_case=use_case), snapshot, tmp_path / "strong", registrar)
    assert aliases(client) == {"champion": first.model_version, "best": first.model_version}
    promote(registrar.registry, use_case, second.model_version)
    assert aliases(client) == {
        "champion": second.model_version,
        "previous": first.model_version,
        "best": second.model_version,
    }
    for version in (first.model_version, second.model_version):
        client.delete_model_version("credit_risk", version)


def test_a_champion_that_cannot_be_verified_leaves_the_decision_to_a_person(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    first = client.get_model_version("credit_risk", trained.first.model_version)
    foreign = client.create_model_version("credit_risk", str(first.source), run_id=first.run_id).version
    client.set_registered_model_alias("credit_risk", "champion", foreign)
    verdict = train.run(a_job("run-4", families="logistic_regression"), snapshot, tmp_path, registrar)
    assert (verdict.accepted, verdict.decision, verdict.champion_version) == (True, Decision.UNDECIDED, str(foreign))
    assert verdict.incomparable == (
        (
            f"not compared with the champion, version {foreign}: "
            f"version {foreign} of credit_risk has no tag manifest_sha256"
        ),
    )
    # once a person has approved, it is the best: the other could never be compared again
    promote(registrar.registry, get_use_case("credit_risk"), verdict.model_version)
    assert aliases(client)["best"] == verdict.model_version
    for version in (verdict.model_version, foreign):
        client.delete_model_version("credit_risk", version)


def test_a_champion_of_other_formulas_leaves_the_decision_to_a_person(
    trained: Trained, client: MlflowClient, registrar: Registrar, snapshot: Path, tmp_path: Path
) -> None:
    job = a_job("run-5", families="logistic_regression", transform="a" * 64)
    first = train.run(job, snapshot, tmp_path / "first", registrar)
    promote(registrar.registry, job.use_case, first.model_version)
    changed = a_job("run-6", families="logistic_regression", transform="b" * 64)
    second = train.run(changed, snapshot, tmp_path / "second", registrar)
    assert (second.decision, second.incomparable) == (
        Decision.UNDECIDED,
        (
            (
                f"not compared with the champion, version {first.model_version}: "
                "it was trained on features of other formulas"
            ),
        ),
    )
    promote(registrar.registry, job.use_case, second.model_version)
    assert aliases(client)["best"] == second.model_version
    for version in (first.model_version, second.model_version):
        client.delete_model_version("credit_risk", version)


def test_a_registry_that_is_down_is_no_reason_to_ask_a_person(snapshot: Path, tmp_path: Path) -> None:
    registrar = Registrar(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RegistryDown) as caught:
        train.run(a_job(families="logistic_regression"), snapshot, tmp_path, registrar)
    assert caught.value.transient
