"""The figures of one fitted candidate: what ``metrics.json`` holds."""

from pydantic import BaseModel, ConfigDict

from training.compiled import Parity
from training.metrics import Metrics


class Report(BaseModel):
    """Made from the snapshot, the spec and the seed alone: the same ones give the same bytes."""

    model_config = ConfigDict(frozen=True)

    training_rows: int
    training_positives: int
    holdout_rows: int
    holdout_positives: int
    threshold: float
    holdout: Metrics
    baseline: Metrics
    parity: Parity
