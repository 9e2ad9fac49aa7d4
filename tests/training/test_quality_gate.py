"""Every rule of the gate, and its sentence to the letter."""

import pytest

from mlops_platform.use_case.spec import QualityGate
from training.compiled import Parity
from training.metrics import Confusion, Metrics
from training.quality_gate import Judgement, judge

NO_ROWS = Confusion(true_negative=0, false_positive=0, false_negative=0, true_positive=0)
EXACT = Parity(rows=1000, labels_different=0, largest_difference=0.0)


def figures(**changed: float) -> Metrics:
    values = {"roc_auc": 0.7, "average_precision": 0.03, "precision": 0.1, "recall": 0.2, "f1": 0.13, "brier": 0.014}
    return Metrics(**{**values, **changed}, confusion=NO_ROWS)


BASELINE = figures(roc_auc=0.5, average_precision=0.015, brier=0.0147)
GATE = QualityGate(
    minimum={"roc_auc": 0.6},
    maximum={"brier": 0.02},
    gain_over_baseline={"average_precision": 0.005, "brier": 0.0001},
    largest_loss_to_champion={"roc_auc": 0.02, "brier": 0.001},
)


def test_a_candidate_that_passes_every_rule_is_accepted() -> None:
    assert judge(figures(), BASELINE, EXACT, GATE, figures()) == Judgement(accepted=True, failed_rules=())


def test_a_bound_that_is_just_met_is_met() -> None:
    assert judge(figures(roc_auc=0.6), BASELINE, EXACT, QualityGate(minimum={"roc_auc": 0.6})).accepted


@pytest.mark.parametrize(
    ("changed", "sentences"),
    [
        ({"roc_auc": 0.59}, ["roc_auc 0.5900 is below the minimum 0.6000"]),
        (
            {"brier": 0.021},
            [
                "brier 0.0210 is above the maximum 0.0200",
                "brier 0.0210 gains -0.0063 over the baseline's 0.0147, at least 0.0001 is asked for",
            ],
        ),
        (
            {"average_precision": 0.019},
            ["average_precision 0.0190 gains 0.0040 over the baseline's 0.0150, at least 0.0050 is asked for"],
        ),
        (
            {"roc_auc": float("nan")},
            ["roc_auc nan is below the minimum 0.6000"],
        ),
    ],
)
def test_a_failed_rule_is_said_in_words(changed: dict[str, float], sentences: list[str]) -> None:
    assert judge(figures(**changed), BASELINE, EXACT, GATE) == Judgement(accepted=False, failed_rules=tuple(sentences))


@pytest.mark.parametrize(
    ("champion", "sentences"),
    [
        ({"roc_auc": 0.71, "brier": 0.0135}, []),
        (
            {"roc_auc": 0.75},
            ["roc_auc 0.7000 loses 0.0500 to the champion's 0.7500 on the same holdout, at most 0.0200 is tolerated"],
        ),
        (
            {"brier": 0.0125},
            ["brier 0.0140 loses 0.0015 to the champion's 0.0125 on the same holdout, at most 0.0010 is tolerated"],
        ),
    ],
)
def test_how_much_worse_than_the_champion_is_tolerated(champion: dict[str, float], sentences: list[str]) -> None:
    assert list(judge(figures(), BASELINE, EXACT, GATE, figures(**champion)).failed_rules) == sentences


def test_a_compiled_model_that_is_not_exact_is_rejected() -> None:
    parity = Parity(rows=1000, labels_different=3, largest_difference=2.34e-5)
    assert judge(figures(), BASELINE, parity, QualityGate()).failed_rules == (
        "compiled model: 3 of 1000 labels differ from scikit-learn's",
        "compiled model: probabilities differ from scikit-learn's by up to 2.3e-05, at most 1e-06 is tolerated",
    )


def test_all_failed_rules_are_listed() -> None:
    found = judge(figures(roc_auc=0.5, average_precision=0.01, brier=0.03), BASELINE, EXACT, GATE, figures())
    assert [rule.split()[:2] for rule in found.failed_rules] == [
        ["roc_auc", "0.5000"],
        ["brier", "0.0300"],
        ["average_precision", "0.0100"],
        ["brier", "0.0300"],
        ["roc_auc", "0.5000"],
        ["brier", "0.0300"],
    ]
