import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from training.oversampling import Oversampled, as_fitted

ROWS = np.arange(12.0).reshape(-1, 1)
LABEL = np.array([1, 1] + [0] * 10)


class Seen(DecisionTreeClassifier):  # type: ignore[misc]
    """Remembers what it was fitted on."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Seen":
        self.seen_ = X[:, 0].tolist(), np.bincount(y).tolist()
        return super().fit(X, y)  # type: ignore[no-any-return]


def test_all_rows_are_seen_and_of_the_smaller_class_as_many_as_of_the_larger() -> None:
    seen, sizes = Oversampled(Seen(), random_state=1).fit(ROWS, LABEL).estimator_.seen_
    assert sizes == [10, 10]
    assert set(seen) == set(ROWS[:, 0])
    assert sorted(value for value in seen if value > 1) == ROWS[2:, 0].tolist()


def test_the_same_seed_draws_the_same_rows() -> None:
    one, same, other = (Oversampled(Seen(), random_state=seed).fit(ROWS, LABEL).estimator_.seen_ for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_a_fitted_pipeline_answers_the_same_without_the_drawing() -> None:
    pipeline = make_pipeline(StandardScaler(), Oversampled(LogisticRegression(), random_state=1)).fit(ROWS, LABEL)
    fitted = as_fitted(pipeline)
    assert isinstance(fitted[-1], LogisticRegression)
    assert fitted.predict_proba(ROWS) == pytest.approx(pipeline.predict_proba(ROWS), abs=0)
    assert fitted.predict(ROWS).tolist() == pipeline.predict(ROWS).tolist()


def test_a_pipeline_without_a_drawing_is_left_alone() -> None:
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABEL)
    assert as_fitted(pipeline) is pipeline
