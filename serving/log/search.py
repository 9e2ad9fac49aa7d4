"""Prints the records of one request, as a JSON list, from the open and closed segments and the published files."""

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow.dataset as ds

from mlops_platform.lake.layout import Lake
from mlops_platform.settings import PlatformSettings
from serving.log.segment import CLOSED, OPEN, read_records
from serving.log.table import files_folder
from serving.paths import serving_paths


def find(settings: PlatformSettings, request_id: str) -> list[dict[str, Any]]:
    """The records of the request, by position; none where there is no such request."""
    folder = serving_paths(settings).log
    found: list[dict[str, Any]] = []
    for path in [*folder.glob(f"*{OPEN}"), *folder.glob(f"*{CLOSED}")]:
        with contextlib.suppress(FileNotFoundError):  # closed or published meanwhile: it is looked for there too
            found += [record for record in read_records(path) if record["request_id"] == request_id]
    if not found:
        lake = Lake(settings.lake_root)
        for use_case in lake.root.glob("predictions/*"):
            table = files_folder(lake, use_case.name)
            if table.exists():
                rows = ds.dataset(table, format="parquet").to_table(filter=ds.field("request_id") == request_id)
                found += rows.to_pylist()
    for record in found:
        record["id"] = None if record["id"] is None else str(record["id"])
    return sorted(found, key=lambda record: (record["position"], not record["served"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--request-id", required=True)
    given = parser.parse_args()
    records = find(PlatformSettings(state_dir=given.state_dir), given.request_id)
    sys.stdout.buffer.write(orjson.dumps(records, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
