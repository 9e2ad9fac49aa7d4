"""What one run of the feature job works on, and what it is called."""

import datetime as dt
from dataclasses import dataclass

from mlops_platform.lake.datasets import DatasetManifest
from mlops_platform.use_case.spec import UseCase


@dataclass(frozen=True)
class FeatureRun:
    """``run_id`` is Airflow's; ``run_date`` is the only notion of today that the run has."""

    use_case: UseCase
    dataset: DatasetManifest
    run_id: str
    run_date: dt.date
