"""What a training run says of its best candidate: the last line that ``python -m training train`` prints, as JSON."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

VERDICT_FILE = "verdict.json"
"""Where a training run leaves it, in its folder."""


class Verdict(BaseModel):
    """Whether a candidate may become champion, and if not, every rule of the quality gate that it failed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    use_case: str
    snapshot: str
    model_version: str
    family: str
    accepted: bool
    failed_rules: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = {}
    """On the holdout; None for a figure that is undefined there."""

    def __str__(self) -> str:
        # one line for a log, and one more for each failed rule
        subject = f"version {self.model_version} ({self.family}) of {self.use_case}, trained on {self.snapshot}"
        if self.accepted:
            return f"accepted: {subject}"
        return "\n".join([f"rejected: {subject}; the champion stays", *(f"- {rule}" for rule in self.failed_rules)])
