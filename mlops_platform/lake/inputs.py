"""What the rows of a snapshot depend on, as one digest: where it is the same, there is nothing new to compute."""

import hashlib
import json

from mlops_platform.lake.datasets import DatasetManifest
from mlops_platform.use_case.fingerprint import transform_fingerprint
from mlops_platform.use_case.spec import UseCase

SNAPSHOT_FORMAT = 1
"""Goes up when the feature job's own code makes other rows or files of the same data, spec and transform."""


def snapshot_inputs(use_case: UseCase, dataset: DatasetManifest) -> str:
    """Sha256 (64 hex digits) of the data, of what the spec says of rows and features, of the transform, of the job.

    No date is in it, nor are words for a reader.

    Raises:
        PlatformError: the use case has no ``features.py``, or it is no Python.
    """
    parts = {
        "dataset": dataset.sha256,
        "raw": [column.model_dump(exclude={"meaning"}) for column in use_case.raw],
        "sources": [source.model_dump() for source in use_case.sources],
        "rules": [rule.model_dump() for rule in use_case.rules],
        "quarantine_limit": use_case.quarantine_limit,
        "spec": use_case.spec_hash,
        "transform": transform_fingerprint(use_case.name),
        "format": SNAPSHOT_FORMAT,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
