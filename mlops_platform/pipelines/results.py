"""What came of a run of a pipeline: the result (XCom) of its last task, ``names.REPORT_TASK``.

The task returns ``model_dump(mode="json")`` of one of these; who follows a run reads it back with ``model_validate``.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class FeaturesOutcome(StrEnum):
    """How a features run that failed nowhere ended."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"
    """Same data, same code, same spec as the published snapshot: nothing was computed or announced."""
    DRY_RUN = "dry_run"
    NO_DATA = "no_data"
    """The use case has no dataset yet."""


class TrainingOutcome(StrEnum):
    """How a training run that failed nowhere ended."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    """The quality gate refused the best candidate."""
    UNCHANGED = "unchanged"
    """Same snapshot, same code, same spec as the newest registered models: nothing was fitted."""
    NOT_APPROVED = "not_approved"
    """A person was asked (always where no comparison was possible) and refused, or did not answer in time."""


class FeaturesReport(BaseModel):
    """``snapshot`` is the published one; None after ``dry_run``, and after ``no_data``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    result: FeaturesOutcome
    snapshot: str | None = None


class TrainingReport(BaseModel):
    """``model_version`` is what the result is about; after ``unchanged`` the one that was trained before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    result: TrainingOutcome
    model_version: str | None = None
