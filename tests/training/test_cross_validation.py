"""Figures over folds: in the report and the card where the spec asks for them, of rows that no fold shares."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Split, UseCase
from tests.mlops_platform.use_case.test_spec import remade
from tests.real_data import songs
from tests.training.small_snapshots import a_job, credit_risk_rows, write_parquet
from training.cross_validation import cross_validate
from training.dataset import Dataset
from training.job import TrainingJob, from_hyperparameters
from training.split import split
from training.train import run


@pytest.fixture
def job(credit_risk: UseCase) -> TrainingJob:
    drawn = remade(credit_risk, split=Split(by="random", holdout_fraction=0.3), folds=3)
    return replace(a_job(families="logistic_regression"), use_case=drawn)


def test_the_report_and_the_card_have_them(tmp_path: Path, job: TrainingJob, credit_risk: UseCase) -> None:
    data = write_parquet(tmp_path / "data", credit_risk_rows(credit_risk, 600))
    run(job, data, tmp_path / "run", None)
    folder = tmp_path / "run" / "logistic_regression"
    found = json.loads((folder / "metrics.json").read_text())["cross_validation"]
    assert found["folds"] == 3
    assert found["mean"].keys() == found["deviation"].keys() >= {"roc_auc", "average_precision", "recall"}
    assert 0.6 < found["mean"]["roc_auc"] < 0.9
    assert 0 < found["deviation"]["roc_auc"] < 0.2
    card = (folder / "model_card.md").read_text()
    assert f"| roc_auc | {found['mean']['roc_auc']:.4f} | {found['deviation']['roc_auc']:.4f} |" in card


def test_there_are_none_where_the_spec_asks_for_none(job: TrainingJob) -> None:
    unasked = replace(job, use_case=remade(job.use_case, folds=None))
    assert cross_validate(unasked, unasked.candidates[0], _rows(40)) is None


def test_a_row_is_never_judged_by_what_learnt_from_its_duplicate(job: TrainingJob) -> None:
    # whether a row is positive is noise: only who has seen its duplicate can tell
    once = _rows(100)
    doubled = once.rows(np.tile(np.arange(100), 2))
    deep = {"random_forest.max_depth": "20", "random_forest.min_samples_leaf": "1"}
    forest = a_job(**deep).candidates[1]
    apart = cross_validate(job, forest, doubled)
    seen = cross_validate(job, forest, replace(doubled, alike=None))
    assert apart is not None
    assert seen is not None
    assert apart.mean["roc_auc"] < 0.7
    assert seen.mean["roc_auc"] > 0.8


def test_a_fold_without_a_class_is_told(job: TrainingJob) -> None:
    rows = _rows(40)
    label = np.zeros(40, dtype=np.int64)
    label[:2] = 1
    with pytest.raises(ModelError, match=r"both classes|lacks a class|each class"):
        cross_validate(job, job.candidates[0], replace(rows, label=label))


def test_songs_are_told_by_what_is_known_of_them(real_data: Path) -> None:
    given = {"use_case": "song_genre", "snapshot": "first", "run_id": "run", "gradient_boosting.n_estimators": "50"}
    job = from_hyperparameters(given)
    rows = songs(real_data)
    training = rows.rows(split(rows, job.use_case.split, job.seed).training)
    found = cross_validate(job, job.candidates[0], training)
    assert found is not None
    assert found.mean["roc_auc"] == pytest.approx(0.968, abs=0.01)
    assert found.mean["average_precision"] > 0.4  # 0.03 of the songs are reggaeton


def _rows(count: int) -> Dataset:
    draw = np.random.default_rng(3)
    inputs = draw.normal(size=(count, 5))
    return Dataset(inputs, draw.integers(0, 2, count), ("0", "1"), np.arange(count), None, alike=np.arange(count))
