"""``mlops snapshots``."""

import datetime as dt

import pytest

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.settings import PlatformSettings
from tests.cli.conftest import Mlops, Outcome
from tests.manifests import publish_manifest


def publish(settings: PlatformSettings, snapshot: str, day: int) -> None:
    publish_manifest(
        settings,
        snapshot,
        run_date=dt.date(2026, 1, day),
        created_at=dt.datetime(2026, 1, day, 3, 4, tzinfo=dt.UTC),
        rows=20,
        entities=7,
    )


def test_snapshots_are_listed_newest_first_with_the_published_one_marked(
    mlops: Mlops, settings: PlatformSettings
) -> None:
    publish(settings, "s1", day=1)
    publish(settings, "s2", day=2)
    assert mlops("snapshots", "list", "credit_risk").out == (
        "published  snapshot  dataset_version  rows  entities  created_at\n"
        "*          s2        1                20    7         2026-01-02 03:04\n"
        "-          s1        1                20    7         2026-01-01 03:04\n"
    )


def test_a_rollback_moves_hives_views_and_then_the_pointer(
    mlops: Mlops, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def run_query(host: str, port: int, query: str, parameters: dict[str, object]) -> list[tuple[object, ...]]:
        current = Snapshots(Lake(settings.lake_root), "credit_risk").current()
        assert current is not None
        statements.append(f"{current.snapshot}: {query.split(' AS ', maxsplit=1)[0]}")
        return []

    monkeypatch.setattr("mlops_platform.online_store.hive.run_query", run_query)
    publish(settings, "s1", day=1)
    publish(settings, "s2", day=2)
    shown = mlops("snapshots", "rollback", "credit_risk")
    assert shown == Outcome(0, "published is s1 of dataset 1\n", "")
    assert statements == [
        "s2: CREATE VIEW IF NOT EXISTS features.credit_risk_current",
        "s2: ALTER VIEW features.credit_risk_current",
        "s2: CREATE VIEW IF NOT EXISTS features.credit_risk_latest",
        "s2: ALTER VIEW features.credit_risk_latest",
    ]
    current = Snapshots(Lake(settings.lake_root), "credit_risk").current()
    assert current is not None
    assert current.snapshot == "s1"
