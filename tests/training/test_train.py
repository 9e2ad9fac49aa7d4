"""A whole run without a registry: its folders, their bytes, a retry, and a candidate that is no good."""

import dataclasses
import io
import json
from pathlib import Path

import joblib
import numpy as np
import pytest

from mlops_platform.errors import ModelError
from mlops_platform.models.manifest import read_file, verify
from mlops_platform.models.scorer import CompiledScorer, load_scorer
from mlops_platform.models.verdict import Decision, Verdict
from mlops_platform.use_case.spec import UseCase
from tests.training.small_snapshots import a_job
from training import dataset, train
from training.verdict import TrainingVerdict

FILES = {
    "metrics.json",
    "model.joblib",
    "model.onnx",
    "model_card.md",
    "plots/calibration.png",
    "plots/confusion.png",
    "plots/precision_recall.png",
    "plots/roc.png",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snapshot: Path) -> tuple[Path, TrainingVerdict]:
    """The folder of a run, and the verdict it ended with."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    return folder, train.run(a_job(), snapshot, folder, None)


def test_a_model_folder_holds_what_its_manifest_names(
    finished: tuple[Path, TrainingVerdict], credit_risk: UseCase
) -> None:
    folder, _ = finished
    for family in ("logistic_regression", "random_forest"):
        manifest = verify(folder / family, credit_risk)
        assert set(manifest.files) == FILES
        assert set(contents(folder / family)) == {*FILES, "manifest.json"}
        assert (manifest.family, manifest.run_id, manifest.snapshot) == (family, "run-1", "first")
        assert (manifest.features, manifest.label) == (credit_risk.feature_names, "status")
        assert manifest.seed == credit_risk.seed


def test_the_verdict_is_on_the_best_and_lists_all(finished: tuple[Path, TrainingVerdict]) -> None:
    folder, verdict = finished
    by_metric = max(verdict.candidates, key=lambda candidate: candidate.metrics["average_precision"])
    assert (verdict.family, verdict.accepted, verdict.failed_rules) == (by_metric.family, True, ())
    assert [candidate.family for candidate in verdict.candidates] == ["logistic_regression", "random_forest"]
    assert set(verdict.metrics) == {"roc_auc", "average_precision", "precision", "recall", "f1", "brier"}
    assert verdict.model_version == "unregistered"
    written = (folder / "verdict.json").read_text()
    assert TrainingVerdict.model_validate_json(written) == verdict
    assert Verdict.model_validate_json(written).family == verdict.family  # as the DAG reads it


def test_the_same_snapshot_and_seed_give_the_same_bytes(
    finished: tuple[Path, TrainingVerdict], snapshot: Path, tmp_path: Path
) -> None:
    folder, _ = finished
    train.run(a_job(), snapshot, tmp_path / "again", None)
    assert contents(tmp_path / "again") == contents(folder)
    train.run(a_job(seed="8", families="random_forest"), snapshot, tmp_path / "other", None)
    other = tmp_path / "other" / "random_forest" / "metrics.json"
    assert other.read_bytes() != (folder / "random_forest" / "metrics.json").read_bytes()


def test_the_model_sees_the_features_and_nothing_else(
    finished: tuple[Path, TrainingVerdict], credit_risk: UseCase, snapshot: Path
) -> None:
    folder, _ = finished
    rows = dataset.read(snapshot, credit_risk)
    renamed = dataclasses.replace(rows, entity=rows.entity[::-1], label=1 - rows.label)
    for family in ("logistic_regression", "random_forest"):
        manifest = verify(folder / family, credit_risk)
        reference = joblib.load(io.BytesIO(read_file(folder / family, manifest, "model.joblib")))
        assert reference.n_features_in_ == len(credit_risk.features)
        scorer = load_scorer(folder / family, manifest, credit_risk)
        assert isinstance(scorer, CompiledScorer)
        np.testing.assert_array_equal(
            scorer.score(dataset.as_matrix(rows.inputs)), scorer.score(dataset.as_matrix(renamed.inputs))
        )
        expected = reference.predict_proba(rows.inputs)[:, 1]
        np.testing.assert_allclose(scorer.score(dataset.as_matrix(rows.inputs)), expected, rtol=0, atol=1e-12)


def test_metrics_compare_the_model_with_a_dummy(finished: tuple[Path, TrainingVerdict]) -> None:
    folder, _ = finished
    found = json.loads((folder / "logistic_regression" / "metrics.json").read_text())
    assert found["training_rows"] + found["holdout_rows"] == 3000
    share = found["holdout_positives"] / found["holdout_rows"]
    assert found["baseline"]["roc_auc"] == 0.5
    assert found["baseline"]["average_precision"] == pytest.approx(share)
    assert (found["baseline"]["recall"], found["baseline"]["f1"]) == (0.0, 0.0)
    assert found["holdout"]["roc_auc"] > 0.6
    assert found["parity"]["labels_different"] == 0
    assert sum(found["holdout"]["confusion"].values()) == found["holdout_rows"]


def test_the_card_tells_what_a_reader_asks(finished: tuple[Path, TrainingVerdict]) -> None:
    folder, _ = finished
    card = (folder / "random_forest" / "model_card.md").read_text()
    for line in (
        "# Credit risk: random_forest",
        "- seed 20190101",
        "| `age` | int | full years from the birthday to the loan |",
        "| metric | model | baseline |",
        "- roc_auc at least 0.55",
        "## Limits",
    ):
        assert line in card.splitlines()


def test_a_retry_takes_up_what_is_whole_and_fits_the_rest(snapshot: Path, tmp_path: Path) -> None:
    first = train.run(a_job(), snapshot, tmp_path, None)
    whole = contents(tmp_path)
    kept = (tmp_path / "logistic_regression" / "manifest.json").stat().st_ino
    (tmp_path / "random_forest" / "model.onnx").write_bytes(b"half a mod")
    draft = tmp_path / ".random_forest.0123"
    draft.mkdir()
    assert train.run(a_job(), snapshot, tmp_path, None) == first
    assert contents(tmp_path) == whole
    assert (tmp_path / "logistic_regression" / "manifest.json").stat().st_ino == kept
    assert not draft.exists()


def test_another_snapshot_under_the_same_run_is_fitted_anew(snapshot: Path, tmp_path: Path) -> None:
    train.run(a_job(families="logistic_regression"), snapshot, tmp_path, None)
    changed = a_job(families="logistic_regression", snapshot="second")
    train.run(changed, snapshot, tmp_path, None)
    assert verify(tmp_path / "logistic_regression", changed.use_case).snapshot == "second"


def test_a_model_of_random_labels_is_rejected_in_words(random_snapshot: Path, tmp_path: Path) -> None:
    verdict = train.run(a_job(families="logistic_regression"), random_snapshot, tmp_path, None)
    assert not verdict.accepted
    assert verdict.failed_rules[0].startswith("roc_auc 0.")
    assert verdict.failed_rules[0].endswith(" is below the minimum 0.5500")
    assert verdict.decision == Decision.REJECTED


def test_a_parameter_that_scikit_learn_refuses_is_named(snapshot: Path, tmp_path: Path) -> None:
    job = a_job(families="logistic_regression", **{"logistic_regression.C": "-1"})
    with pytest.raises(ModelError, match=r"logistic_regression: The 'C' parameter of LogisticRegression must be"):
        train.run(job, snapshot, tmp_path, None)
    assert not (tmp_path / "logistic_regression").exists()
