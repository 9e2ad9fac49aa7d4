"""Publishes rows as the feature job does, by adapter: see ``contract.py``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_platform.lake import tables
from mlops_platform.lake.snapshots import new_attempt
from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.online_store import FeatureRow, OnlineStore, embedded
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.encoded import encode
from mlops_platform.online_store.hive import HiveStore, run_query
from mlops_platform.online_store.redis import RedisPublisher, RedisStore
from tests.mlops_platform.online_store.contract import SPEC


class InFiles:
    """The embedded store: one file per snapshot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._published = ""

    def publish(self, snapshot: str, rows: Sequence[FeatureRow]) -> None:
        embedded.build(self._folder / f"{snapshot}.lmdb", rows)
        self._published = snapshot

    def open(self) -> OnlineStore:
        return EmbeddedStore(self._folder / f"{self._published}.lmdb", self._published)


class InRedis:
    """Redis: one hash per attempt; those of earlier ones stay."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._published = ("", "")

    def publish(self, snapshot: str, rows: Sequence[FeatureRow]) -> None:
        published = (snapshot, new_attempt())
        encoded = ((known.entity_id.encode(), encode(known)) for known in rows)
        RedisPublisher(self._url).fill(SPEC.name, *published, encoded)
        self._published = published

    def open(self) -> RedisStore:
        return RedisStore(self._url, SPEC.name, *self._published)


class InHive:
    """Hive: a partition per snapshot, and views that are moved; tables of its own, beside those of the platform."""

    def __init__(self, host: str, port: int, folder: Path) -> None:
        self._host, self._port, self._folder = host, port, folder
        self._run(tables.create_history_table(SPEC, f"file://{folder}"))

    def publish(self, snapshot: str, rows: Sequence[FeatureRow]) -> None:
        location = self._folder / f"snapshot={snapshot}" / new_attempt()
        location.mkdir(parents=True)
        schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in SPEC.feature_table])
        table = [self._row(at, known) for at, known in enumerate(rows)]
        pq.write_table(pa.Table.from_pylist(table, schema), location / "part.parquet")
        self._run(*tables.put_partition(SPEC, snapshot, f"file://{location}"))
        self._run(*tables.move_views(SPEC, snapshot))

    def open(self) -> OnlineStore:
        return HiveStore(self._host, self._port, SPEC)

    def remove(self) -> None:
        for view in (tables.latest_view(SPEC), tables.current_view(SPEC)):
            self._run(f"DROP VIEW IF EXISTS {view}")
        self._run(f"DROP TABLE IF EXISTS {tables.history_table(SPEC)}")

    def _row(self, at: int, known: FeatureRow) -> dict[str, Any]:
        assert SPEC.event_time is not None
        keys: dict[str, Any] = {
            SPEC.row_key: at,
            SPEC.entity_key: int(known.entity_id),
            SPEC.event_time: known.feature_date,
        }
        return {**keys, **known.features, SPEC.label.name: 0, "is_latest": 1}

    def _run(self, *statements: str) -> None:
        for statement in statements:
            run_query(self._host, self._port, statement, {})
