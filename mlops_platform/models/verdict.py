"""What a training run says of its best candidate: the last line that ``python -m training train`` prints, as JSON."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

VERDICT_FILE = "verdict.json"
"""Where a training run leaves it, in its folder."""


class Decision(StrEnum):
    """May the candidate become champion?"""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNDECIDED = "undecided"
    """No rule failed, but what it must not fall behind could not be measured: a person decides."""


class Verdict(BaseModel):
    """Whether a candidate may become champion, and if not, every rule that it failed.

    ``accepted``: no rule failed. ``incomparable`` has a sentence for each model that it had to be compared with and
    could not be.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    use_case: str
    snapshot: str
    model_version: str
    family: str
    accepted: bool
    failed_rules: tuple[str, ...] = ()
    incomparable: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = {}
    """On the holdout; None for a figure that is undefined there."""

    @property
    def decision(self) -> Decision:
        return decision(accepted=self.accepted, incomparable=self.incomparable)

    def __str__(self) -> str:
        # one line for a log, and one more for each reason
        subject = f"version {self.model_version} ({self.family}) of {self.use_case}, trained on {self.snapshot}"
        reasons = {
            Decision.ACCEPTED: ("", ()),
            Decision.REJECTED: ("; the champion stays", self.failed_rules),
            Decision.UNDECIDED: ("; a person has to decide", self.incomparable),
        }
        consequence, why = reasons[self.decision]
        return "\n".join([f"{self.decision}: {subject}{consequence}", *(f"- {reason}" for reason in why)])


def decision(*, accepted: bool, incomparable: tuple[str, ...]) -> Decision:
    """What failing rules and missing comparisons come to."""
    if not accepted:
        return Decision.REJECTED
    return Decision.UNDECIDED if incomparable else Decision.ACCEPTED
