"""What the DAGs, tasks and assets of a use case are called, for the DAG files and for those who ask Airflow."""

COMPUTE_TASK = "compute_features"
RESOLVE_DATASET_TASK = "resolve_dataset"
ANNOUNCE_TASK = "announce_snapshot"
"""Its result (XCom) is the snapshot that was published."""
TRAIN_TASK = "train_candidates"
"""Its result (XCom) is the verdict that ``python -m training train`` prints."""
APPROVE_TASK = "approve"
PROMOTE_TASK = "promote_champion"
REPORT_TASK = "report_result"
"""The last task of each pipeline. Its result (XCom) is a ``FeaturesReport`` or a ``TrainingReport``, as JSON."""


HOUSEKEEPING_DAG = "housekeeping"
SPARK_POOL = "spark"
"""The pool of the tasks that take cores of Spark's workers: made at each start (airflow/initialise.py)."""


def features_dag(use_case: str) -> str:
    """Raw dataset to published snapshot."""
    return f"{use_case}_features"


def training_dag(use_case: str) -> str:
    """Published snapshot to champion."""
    return f"{use_case}_training"


def features_asset(use_case: str) -> str:
    """The name of the asset that a published snapshot updates. The event's ``extra`` names the snapshot.

    >>> features_asset("credit_risk")
    'features://credit_risk'
    """
    return f"features://{use_case}"
