"""What the rows of a snapshot depend on, as one digest: where it is the same, there is nothing new to compute."""

import datetime as dt
import hashlib
import json

from mlops_platform.lake.datasets import DatasetManifest
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.use_case.spec import UseCase

SNAPSHOT_FORMAT = 1
"""Goes up when the feature job's own code makes other rows or files of the same data, spec and transform."""


def snapshot_inputs(use_case: UseCase, dataset: DatasetManifest, compiled: CompiledTransform, run_date: dt.date) -> str:
    """Sha256 (64 hex digits) of the data, of what the spec says of rows and features, of the transform, of the job.

    No words for a reader are in it, and the run's date only where the transform asks for it.
    """
    parts = {
        "dataset": dataset.sha256,
        "raw": [column.model_dump(exclude={"meaning"}) for column in use_case.raw],
        "sources": [source.model_dump() for source in use_case.sources],
        "rules": [rule.model_dump() for rule in use_case.rules],
        "quarantine_limit": use_case.quarantine_limit,
        "spec": use_case.spec_hash,
        "transform": [compiled.fingerprint, run_date.isoformat() if compiled.takes_run_date else None],
        "format": SNAPSHOT_FORMAT,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
