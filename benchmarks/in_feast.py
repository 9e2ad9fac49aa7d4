"""Runs in Feast's environment: a repository over ``rows.parquet`` in a folder, applied, its rows put online.

python in_feast.py <folder>
"""

import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

CONFIGURATION = """\
project: benchmark
provider: local
registry: registry.db
online_store:
  type: sqlite
  path: online.db
entity_key_serialization_version: 3
"""


def main(folder: Path) -> None:
    (folder / "feature_store.yaml").write_text(CONFIGURATION)
    rows = pd.read_parquet(folder / "rows.parquet", dtype_backend="pyarrow")
    entity = Entity(name="id", value_type=ValueType.STRING)
    types = {
        name: Float64 if pd.api.types.is_float_dtype(rows[name].dtype) else Int64
        for name in rows.columns
        if name not in ("id", "event_timestamp")
    }
    view = FeatureView(
        name="rows",
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=kind) for name, kind in types.items()],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([entity, view])
    store.materialize(rows["event_timestamp"].min() - timedelta(days=1), rows["event_timestamp"].max())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
