"""Every rule that a candidate has to pass, and its sentence to the letter; and that losses do not add up."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mlops_platform.models.registry import MANIFEST_TAG, ModelVersion
from mlops_platform.models.verdict import Decision
from mlops_platform.use_case.spec import QualityGate
from training.judge import CandidateVerdict, judge
from training.metrics import OF_SCORES, BinaryMetrics, Confusion, Scores
from training.opponents import Opponent, Opponents
from training.report import Report

NO_ROWS = Confusion(true_negative=0, false_positive=0, false_negative=0, true_positive=0)
MADE = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
NO_RULES, NOBODY = QualityGate(), Opponents()


def figures(**changed: float) -> BinaryMetrics:
    values = {"roc_auc": 0.7, "average_precision": 0.03, "precision": 0.1, "recall": 0.2, "f1": 0.13, "brier": 0.014}
    return BinaryMetrics(**{**values, **changed}, confusion=NO_ROWS)


def judged(candidate: BinaryMetrics, gate: QualityGate = NO_RULES, opponents: Opponents = NOBODY) -> CandidateVerdict:
    report = Report(
        training_rows=4000,
        training_positives=60,
        holdout_rows=1000,
        holdout_positives=15,
        threshold=0.5,
        holdout=candidate,
        baseline=BASELINE,
    )
    return judge(report, gate, opponents)


def opponent(title: str, version: str, metrics: BinaryMetrics) -> Opponent:
    return Opponent(title, ModelVersion("credit_risk", version, MADE), Scores("binary", np.zeros(0), 0.5), metrics)


BASELINE = figures(roc_auc=0.5, average_precision=0.015, brier=0.0147)
GATE = QualityGate(
    minimum={"roc_auc": 0.6},
    maximum={"brier": 0.02},
    gain_over_baseline={"average_precision": 0.005, "brier": 0.0001},
    largest_loss_to_champion={"roc_auc": 0.02, "brier": 0.001},
)


def test_a_candidate_that_passes_every_rule_is_accepted() -> None:
    found = judged(figures(), GATE, opponents=Opponents(compared=(opponent("the champion", "1", figures()),)))
    assert (found, found.decision) == (CandidateVerdict(()), Decision.ACCEPTED)


def test_a_bound_that_is_just_met_is_met() -> None:
    assert judged(figures(roc_auc=0.6), QualityGate(minimum={"roc_auc": 0.6})).accepted


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
    assert judged(figures(**changed), GATE) == CandidateVerdict(tuple(sentences))


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
    met = Opponents(compared=(opponent("the champion", "1", figures(**champion)),))
    assert list(judged(figures(), GATE, opponents=met).failed_rules) == sentences


def test_what_is_tolerated_counts_against_the_best_that_ever_was_too() -> None:
    champion = opponent("the champion", "7", figures(roc_auc=0.71))
    best = opponent("the best", "3", figures(roc_auc=0.73))
    found = judged(figures(), GATE, opponents=Opponents(compared=(champion, best)))
    assert found.failed_rules == (
        "roc_auc 0.7000 loses 0.0300 to the best's 0.7300 on the same holdout, at most 0.0200 is tolerated",
    )


def test_what_could_not_be_compared_is_left_to_a_person_unless_a_rule_failed_anyway() -> None:
    met = Opponents(incomparable=("not compared with the champion, version 1: gone",))
    found = judged(figures(), GATE, opponents=met)
    assert (found.decision, found.incomparable) == (Decision.UNDECIDED, met.incomparable)
    assert judged(figures(roc_auc=0.5), GATE, opponents=met).decision == Decision.REJECTED


def test_all_failed_rules_are_listed() -> None:
    met = Opponents(compared=(opponent("the champion", "1", figures()),))
    found = judged(figures(roc_auc=0.5, average_precision=0.01, brier=0.03), GATE, opponents=met)
    assert [rule.split()[:2] for rule in found.failed_rules] == [
        ["roc_auc", "0.5000"],
        ["brier", "0.0300"],
        ["average_precision", "0.0100"],
        ["brier", "0.0300"],
        ["roc_auc", "0.5000"],
        ["brier", "0.0300"],
    ]


PROMOTIONS, ROWS = 200, 2000
TOLERATED = 0.02


@dataclass(frozen=True)
class Model:
    """A made-up model that sees what decides the label, the better the greater its ``skill``, and noise of its own."""

    version: ModelVersion
    skill: float

    def scores(self, signal: np.ndarray, draw: np.random.Generator) -> Scores:
        return Scores("binary", 1 / (1 + np.exp(-(self.skill * signal + draw.normal(size=len(signal))))), 0.5)


def a_model(number: int, skill: float) -> Model:
    return Model(ModelVersion("credit_risk", str(number), MADE, tags={MANIFEST_TAG: f"digest-{number}"}), skill)


def rows_of_a_day(draw: np.random.Generator, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """What decides the label, and the label: one in ten is positive."""
    signal = draw.normal(size=rows)
    return signal, (draw.random(rows) < 1 / (1 + np.exp(2.6 - signal))).astype(int)


def quick_average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """scikit-learn's where no two scores are equal, without its checks, which take nearly all of its time."""
    hits = label[np.argsort(-score)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits == 1].mean())


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of average precisions in seconds."""
    signal, label = rows_of_a_day(np.random.default_rng(2))
    assert quick_average_precision(label, signal) == pytest.approx(average_precision_score(label, signal), abs=1e-12)
    monkeypatch.setitem(OF_SCORES, "average_precision", quick_average_precision)


def measured(scores: Scores, label: np.ndarray) -> BinaryMetrics:
    """The one metric that the simulation's rules are of."""
    return figures(average_precision=scores.value("average_precision", label, np.arange(len(label))))


def average_precision(model: Model) -> float:
    """Of the model, over so many rows that there is no chance in it."""
    draw = np.random.default_rng(1)
    signal, label = rows_of_a_day(draw, 200_000)
    return measured(model.scores(signal, draw), label).average_precision


def after_many_promotions(*, with_best: bool) -> tuple[Model, Model]:
    """The first champion, and the one after 200 promotions of candidates that are each a little worse than the last."""
    draw = np.random.default_rng(20190101)
    gate = QualityGate(largest_loss_to_champion={"average_precision": TOLERATED})
    first = champion = best = a_model(0, 1.5)
    promoted = number = 0
    while promoted < PROMOTIONS and number < 20 * PROMOTIONS:
        number += 1
        # people do not try worse and worse models: they start from the best again when the last ones were refused
        start = champion if number % 2 else best
        candidate = a_model(number, max(start.skill - draw.uniform(0, 0.1), 0))
        signal, label = rows_of_a_day(draw)
        met = [("the champion", champion), ("the best", best)] if with_best else [("the champion", champion)]
        scores = {title: model.scores(signal, draw) for title, model in met}
        opponents = Opponents(
            champion=champion.version,
            best=best.version,
            compared=tuple(
                Opponent(title, model.version, scores[title], measured(scores[title], label)) for title, model in met
            ),
        )
        given = candidate.scores(signal, draw)
        if judged(measured(given, label), gate, opponents=opponents).accepted:
            promoted += 1
            if opponents.superseded_by(given, "average_precision", label) == best.version.tags[MANIFEST_TAG]:
                best = candidate
            champion = candidate
    assert promoted == PROMOTIONS
    return first, champion


@pytest.mark.usefixtures("quick")
def test_the_losses_of_two_hundred_promotions_do_not_add_up() -> None:
    first, last = after_many_promotions(with_best=True)
    assert average_precision(last) > average_precision(first) - 2 * TOLERATED


@pytest.mark.usefixtures("quick")
def test_without_the_best_they_would() -> None:
    first, last = after_many_promotions(with_best=False)
    assert average_precision(last) < average_precision(first) - 5 * TOLERATED
