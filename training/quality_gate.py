"""May a candidate become champion? A pure function from figures to a judgement; thresholds are in the use case."""

import math

from pydantic import BaseModel, ConfigDict

from mlops_platform.use_case.spec import Metric, QualityGate
from training.compiled import Parity
from training.metrics import Metrics

LOWER_IS_BETTER: frozenset[Metric] = frozenset({"brier"})
LARGEST_DIFFERENCE = 1e-6
"""How far the compiled model's probabilities may be from scikit-learn's."""


class Judgement(BaseModel):
    """Accepted if and only if no rule failed; ``failed_rules`` has one sentence for each that did."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    failed_rules: tuple[str, ...]


def judge(
    candidate: Metrics, baseline: Metrics, parity: Parity, gate: QualityGate, champion: Metrics | None = None
) -> Judgement:
    """Apply every rule of the gate, and the compiled model's parity, which holds for each use case.

    Args:
        champion: the champion's metrics on the same holdout; None where there is nothing to compare with.
    """
    failed = [*_parity_rules(parity), *_bound_rules(candidate, gate), *_gain_rules(candidate, baseline, gate)]
    if champion is not None:
        failed += _champion_rules(candidate, champion, gate)
    return Judgement(accepted=not failed, failed_rules=tuple(failed))


def advantage(metric: Metric, of: Metrics, over: Metrics) -> float:
    """By how much one is better than the other; negative if it is worse."""
    difference = of.value(metric) - over.value(metric)
    return -difference if metric in LOWER_IS_BETTER else difference


def _parity_rules(parity: Parity) -> list[str]:
    failed = []
    if parity.labels_different:
        failed.append(f"compiled model: {parity.labels_different} of {parity.rows} labels differ from scikit-learn's")
    if not parity.largest_difference <= LARGEST_DIFFERENCE:
        failed.append(
            f"compiled model: probabilities differ from scikit-learn's by up to {parity.largest_difference:.1e}, "
            f"at most {LARGEST_DIFFERENCE:.0e} is tolerated"
        )
    return failed


def _bound_rules(candidate: Metrics, gate: QualityGate) -> list[str]:
    failed = []
    for metric, bound in gate.minimum.items():
        if not candidate.value(metric) >= bound:
            failed.append(f"{metric} {candidate.value(metric):.4f} is below the minimum {bound:.4f}")
    for metric, bound in gate.maximum.items():
        if not candidate.value(metric) <= bound:
            failed.append(f"{metric} {candidate.value(metric):.4f} is above the maximum {bound:.4f}")
    return failed


def _gain_rules(candidate: Metrics, baseline: Metrics, gate: QualityGate) -> list[str]:
    failed = []
    for metric, least in gate.gain_over_baseline.items():
        gain = advantage(metric, candidate, baseline)
        if math.isnan(gain) or gain < least:
            failed.append(
                f"{metric} {candidate.value(metric):.4f} gains {gain:.4f} over the baseline's "
                f"{baseline.value(metric):.4f}, at least {least:.4f} is asked for"
            )
    return failed


def _champion_rules(candidate: Metrics, champion: Metrics, gate: QualityGate) -> list[str]:
    failed = []
    for metric, largest in gate.largest_loss_to_champion.items():
        loss = advantage(metric, champion, candidate)
        if math.isnan(loss) or loss > largest:
            failed.append(
                f"{metric} {candidate.value(metric):.4f} loses {loss:.4f} to the champion's "
                f"{champion.value(metric):.4f} on the same holdout, at most {largest:.4f} is tolerated"
            )
    return failed
