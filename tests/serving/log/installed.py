"""The prediction log of an installation, as workers leave it, and its table as it is published."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_platform.lake.lake import Lake
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.log.publish import Publication, publish
from serving.log.table import PredictionTable
from serving.paths import serving_paths


@dataclass(frozen=True)
class InstalledLog:
    """Of credit risk."""

    settings: PlatformSettings

    @property
    def folder(self) -> Path:
        return serving_paths(self.settings).log

    @property
    def table(self) -> PredictionTable:
        return PredictionTable(Lake(self.settings.lake_root), "credit_risk")

    @property
    def table_folders(self) -> Path:
        """Where the folders of the table are."""
        return self.settings.lake_root / "predictions" / "credit_risk"

    def close_segment(self, name: str, *records: dict[str, Any]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        segment = self.folder / f"{name}.jsonl"
        segment.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
        return segment

    def publish(self) -> Publication:
        return publish(self.settings)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table, in the order of its files."""
        files = [pq.ParquetFile(self.settings.lake_root / file) for file in self.table.files()]
        return [row for file in files for row in file.read().to_pylist()]

    def request_ids(self) -> list[str]:
        return [row["request_id"] for row in self.rows()]


def record_of(use_case: UseCase, request_id: str, **features: Any) -> dict[str, Any]:
    """A record as a worker logs it; features that are not given have the spec's examples."""
    return {
        "request_id": request_id,
        "position": 0,
        "time": 1.5,
        "use_case": use_case.name,
        "id": "5008804",
        "feature_date": "2020-01-02",
        "features": {feature.name: feature.example for feature in use_case.features} | features,
        "score": 0.5,
        "label": 1,
        "model_version": "1",
        "snapshot": "first",
        "variant": "champion",
        "served": True,
        "model_sha256": "ab" * 32,
    }
