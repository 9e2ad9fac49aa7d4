"""May a candidate become champion? A pure function from figures to a decision; the rules are in the use case."""

import math
from dataclasses import dataclass

from mlops_platform.models.verdict import Decision, decision
from mlops_platform.use_case.spec import QualityGate
from training.metrics import Metrics, advantage
from training.opponents import Opponents
from training.report import Report


@dataclass(frozen=True)
class CandidateVerdict:
    """``failed_rules`` has one sentence for each rule that failed, ``incomparable`` one for each missing comparison."""

    failed_rules: tuple[str, ...]
    incomparable: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return not self.failed_rules

    @property
    def decision(self) -> Decision:
        return decision(accepted=self.accepted, incomparable=self.incomparable)


def judge(report: Report, rules: QualityGate, opponents: Opponents) -> CandidateVerdict:
    """Apply every rule of the use case.

    What the candidate may lose, it may lose to the champion and to the best that ever was: to the champion alone, a
    small loss each time would add up to any.
    """
    candidate = report.holdout
    failed = [
        *_bound_rules(candidate, rules),
        *_gain_rules(candidate, report.baseline, rules),
    ]
    for opponent in opponents.compared:
        failed += _loss_rules(candidate, opponent.metrics, opponent.title, rules)
    return CandidateVerdict(tuple(failed), opponents.incomparable)


def _bound_rules(candidate: Metrics, rules: QualityGate) -> list[str]:
    failed = []
    for metric, bound in rules.minimum.items():
        if not candidate.value(metric) >= bound:
            failed.append(f"{metric} {candidate.value(metric):.4f} is below the minimum {bound:.4f}")
    for metric, bound in rules.maximum.items():
        if not candidate.value(metric) <= bound:
            failed.append(f"{metric} {candidate.value(metric):.4f} is above the maximum {bound:.4f}")
    return failed


def _gain_rules(candidate: Metrics, baseline: Metrics, rules: QualityGate) -> list[str]:
    failed = []
    for metric, least in rules.gain_over_baseline.items():
        gain = advantage(metric, candidate, baseline)
        if math.isnan(gain) or gain < least:
            failed.append(
                f"{metric} {candidate.value(metric):.4f} gains {gain:.4f} over the baseline's "
                f"{baseline.value(metric):.4f}, at least {least:.4f} is asked for"
            )
    return failed


def _loss_rules(candidate: Metrics, opponent: Metrics, title: str, rules: QualityGate) -> list[str]:
    failed = []
    for metric, largest in rules.largest_loss_to_champion.items():
        loss = advantage(metric, opponent, candidate)
        if math.isnan(loss) or loss > largest:
            failed.append(
                f"{metric} {candidate.value(metric):.4f} loses {loss:.4f} to {title}'s "
                f"{opponent.value(metric):.4f} on the same holdout, at most {largest:.4f} is tolerated"
            )
    return failed
