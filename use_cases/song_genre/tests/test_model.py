"""What is fitted of songs: few of the one genre are enough, and nothing of its drawing is left in the model."""

from pathlib import Path

import numpy as np

from tests.real_data import songs
from training.compiled import compile_if_exact
from training.fit import fit
from training.job import from_hyperparameters
from training.split import split
from use_cases.song_genre.spec import USE_CASE

REGGAETON = [68, 0.826, 0.704, 9, -7.527, 1, 0.117, 0.189, 4.8e-05, 0.0617, 0.741, 94.013, 205000]


def test_boosted_trees_tell_reggaeton(real_data: Path) -> None:
    given = {"use_case": "song_genre", "snapshot": "first", "run_id": "run", "gradient_boosting.n_estimators": "40"}
    job = from_hyperparameters(given)
    rows = songs(real_data)
    divided = split(rows, USE_CASE.split, job.seed)
    training, holdout = rows.rows(divided.training), rows.rows(divided.holdout)
    fitted = fit(job, job.candidates[0], training)
    figures = fitted.scores(holdout.inputs).evaluate(holdout.label)
    assert 0.93 < figures.value("roc_auc") < 1
    assert figures.value("average_precision") > 0.5  # 0.03 of the songs are reggaeton
    assert fitted.scores(np.array([REGGAETON])).score[0] > 0.9
    assert type(fitted.pipeline[-1]).__module__.startswith("sklearn.")
    assert compile_if_exact(fitted.pipeline, fitted.scores, USE_CASE, holdout.inputs).not_compiled is None
