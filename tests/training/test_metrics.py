import numpy as np
import pytest

from training.metrics import BinaryMetrics, Confusion, Scores, best_threshold

LABEL = np.array([0, 0, 1, 0, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.4, 0.8])


def evaluated(threshold: float) -> BinaryMetrics:
    found = Scores("binary", SCORE, threshold).evaluate(LABEL)
    assert isinstance(found, BinaryMetrics)
    return found


def test_all_metrics_of_five_rows() -> None:
    assert evaluated(0.35) == BinaryMetrics(
        roc_auc=0.8333333333,
        average_precision=0.8333333333,
        precision=0.5,
        recall=0.5,
        f1=0.5,
        brier=0.148,
        confusion=Confusion(true_negative=2, false_positive=1, false_negative=1, true_positive=1),
    )


def test_a_row_at_the_threshold_is_positive() -> None:
    assert evaluated(0.8).confusion.true_positive == 1


def test_nothing_predicted_positive_is_no_division_by_zero() -> None:
    found = evaluated(0.9)
    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("label", "score", "threshold"),
    [
        (LABEL, SCORE, 0.25),  # both positives for one false alarm: F1 0.8
        ([0, 1], [0.5, 0.5], 0.25),  # equal scores are on one side: below them there is only 0
        ([1, 0, 1, 0], [0.9, 0.6, 0.2, 0.2], 0.75),  # F1 2/3 at 0.9 as well as for all rows: the higher
    ],
)
def test_the_threshold_has_the_best_f1_and_lies_between_scores(
    label: list[int], score: list[float], threshold: float
) -> None:
    assert best_threshold(np.array(label), np.array(score)) == pytest.approx(threshold)
