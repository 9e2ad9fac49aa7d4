import numpy as np
import pytest
from pydantic import BaseModel

from mlops_platform.use_case.task import METRICS
from training.metrics import (
    BinaryMetrics,
    Confusion,
    MulticlassMetrics,
    RegressionMetrics,
    Scores,
    best_threshold,
    clearly_better,
)

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


def test_all_metrics_of_three_classes() -> None:
    score = np.array([[0.6, 0.3, 0.1], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    scores = Scores("multiclass", score)
    assert scores.labels.tolist() == [0, 0, 2, 1]  # of two that are equal the first
    assert scores.evaluate(np.array([0, 1, 2, 2])) == MulticlassMetrics(
        accuracy=0.5,
        f1_macro=0.4444444444,
        log_loss=round(float(-np.log([0.6, 0.4, 0.7, 0.3]).mean()), 10),
        roc_auc_ovr=round((1 + 2 / 3 + 1) / 3, 10),
        confusion=((1, 0, 0), (1, 0, 0), (0, 1, 1)),
    )


def test_all_metrics_of_numbers() -> None:
    found = Scores("regression", np.array([1.0, 2.0, 5.0])).evaluate(np.array([1.0, 4.0, 4.0]))
    assert found == RegressionMetrics(rmse=round((5 / 3) ** 0.5, 10), mae=1.0, r2=round(1 - 5 / 6, 10))


def test_each_task_has_the_metrics_that_rules_may_name() -> None:
    by_task: dict[str, type[BaseModel]] = {
        "binary": BinaryMetrics,
        "multiclass": MulticlassMetrics,
        "regression": RegressionMetrics,
    }
    for task, names in METRICS.items():
        assert set(by_task[task].model_fields) - {"confusion"} == set(names)


def test_numbers_that_are_nearer_everywhere_are_clearly_better_and_by_chance_they_are_not() -> None:
    draw = np.random.default_rng(1)
    label = draw.normal(size=500)
    near, far, also_near = (Scores("regression", label + s * draw.normal(size=500)) for s in (1.0, 1.5, 1.0))
    assert clearly_better("rmse", label, near, far)
    assert not clearly_better("rmse", label, far, near)
    assert not clearly_better("rmse", label, near, also_near)
    assert not clearly_better("rmse", label, also_near, near)


def test_classes_are_dealt_in_equal_shares_to_see_which_is_clearly_better() -> None:
    draw = np.random.default_rng(1)
    label = np.repeat([0, 1, 2], [400, 60, 40])

    def scores(skill: float) -> Scores:
        raw = np.exp(skill * np.eye(3)[label] + draw.normal(size=(500, 3)))
        return Scores("multiclass", raw / raw.sum(axis=1, keepdims=True))

    assert clearly_better("roc_auc_ovr", label, scores(2.0), scores(0.5))
    assert not clearly_better("log_loss", label, scores(0.5), scores(2.0))
