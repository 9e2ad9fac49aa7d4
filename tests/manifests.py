"""Manifests of snapshots and models of which nothing else is there, of credit risk where a test does not say."""

import datetime as dt
from typing import Any

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.models.manifest import CompiledModel, ModelManifest
from mlops_platform.settings import PlatformSettings


def snapshot_manifest(snapshot: str, **changed: Any) -> SnapshotManifest:
    return SnapshotManifest(
        **{
            "snapshot": snapshot,
            "use_case": "credit_risk",
            "dataset_version": 1,
            "run_date": dt.date(2026, 1, 1),
            "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            "spec_hash": "0",
            "rows": 1,
            "entities": 1,
            "features_path": "f",
            "online_path": "o",
            "quality": Quality(rows_read=1, rows_valid=1, rows_quarantined=0),
            **changed,
        }
    )


def publish_manifest(settings: PlatformSettings, snapshot: str, **changed: Any) -> None:
    """Publish a snapshot of credit risk that has no files."""
    snapshots = Snapshots(Lake(settings.lake_root), "credit_risk")
    attempt = snapshots.claim(snapshot)
    with snapshots.publishing(snapshot, attempt):
        snapshots.publish(snapshot_manifest(snapshot, attempt=attempt, **changed))


def model_manifest(**changed: Any) -> ModelManifest:
    return ModelManifest(
        **{
            "use_case": "credit_risk",
            "family": "tree",
            "run_id": "r1",
            "snapshot": "any",
            "spec_hash": "0" * 64,
            "features": ("age",),
            "label": "status",
            "threshold": 0.5,
            "seed": 1,
            "parameters": {},
            "compiled": CompiledModel(inputs=()),
            "libraries": {},
            "git_sha": "0",
            "files": {},
            **changed,
        }
    )
