"""Each fault that the doctor knows is made on purpose, and must be found alone, with its remedy."""

import datetime as dt
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from mlops_platform.errors import BrokenUseCase
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.online_store import embedded
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.online_store.redis import RedisPublisher
from mlops_platform.services import doctor
from mlops_platform.services.doctor import Finding, examine
from mlops_platform.services.health import HealthReport, ServiceHealth, Standstill, write_report
from mlops_platform.settings import PlatformSettings
from mlops_platform.transform.compile import compile_transform, read_sources
from mlops_platform.transform.compiled import CompiledTransform, Transform
from mlops_platform.transform.kept import keep
from mlops_platform.use_case.find import UseCases, find_use_cases
from mlops_platform.use_case.spec import UseCase
from tests.redis_server import redis_server
from tests.scripted_server import ScriptedServer

NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
ROWS = [FeatureRow(str(entity), dt.date(2020, 1, 1), {"age": 30 + entity}) for entity in range(3)]
MODEL = "/api/2.0/mlflow/registered-models/get"


class FakeHive:
    """The Hive side, as the platform's HiveStore shows it."""

    snapshot = "s1"
    rows = ROWS

    def __init__(self, host: str, port: int, use_case: UseCase) -> None:
        """Connects to nothing."""

    def get_many(self, entity_ids: Sequence[str]) -> list[FeatureRow | None]:
        found = {row.entity_id: row for row in self.rows}
        return [found.get(entity_id) for entity_id in entity_ids]


def seen(at: dt.datetime, *, down: Sequence[str] = (), standstills: tuple[Standstill, ...] = ()) -> HealthReport:
    """What the watcher saw: all but these services are usable."""
    services = [
        ServiceHealth(name=name, usable=name not in down, seconds=42, was_usable=True)
        for name in ("airflow-api-server", "hive-server", "mlflow")
    ]
    return HealthReport(at=at, services=tuple(services), standstills=standstills)


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def sound(
    server: ScriptedServer, settings: PlatformSettings, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> SnapshotManifest:
    """A platform without a fault: services up, a snapshot that Hive and the online store hold, a champion."""
    write_report(settings, seen(NOW))
    monkeypatch.setattr("mlops_platform.online_store.hive.HiveStore", FakeHive)
    server.on("POST", "/auth/token", {"access_token": "t"})
    server.on("GET", "/api/v2/importErrors", {"import_errors": []})
    server.on("GET", MODEL, {"registered_model": {"aliases": [{"alias": "champion", "version": "1"}]}})
    lake = Lake(settings.lake_root)
    snapshots = Snapshots(lake, credit_risk.name)
    attempt = snapshots.claim("s1")
    key = snapshots.compiled_key("s1", attempt)
    kept = CompiledTransform(
        sql="SELECT 1", compiler={}, transform=Transform.of(credit_risk, read_sources(credit_risk.name))
    )
    manifest = SnapshotManifest(
        snapshot="s1",
        use_case=credit_risk.name,
        attempt=attempt,
        dataset_version=1,
        run_date=dt.date(2026, 1, 4),
        created_at=dt.datetime(2026, 1, 4, tzinfo=dt.UTC),
        spec_hash=credit_risk.spec_hash,
        transform="f" * 64,
        compiled_path=key,
        compiled_sha256=keep(lake, key, kept),
        rows=9,
        entities=3,
        features_path=snapshots.features_key("s1", attempt),
        online_path=snapshots.online_key("s1", attempt),
        quality=Quality(rows_read=9, rows_valid=9, rows_quarantined=0),
    )
    lake.put(f"{manifest.features_path}/part.parquet", b"rows")
    embedded.build(settings.lake_root / manifest.online_path, ROWS)
    with snapshots.publishing("s1", attempt):
        snapshots.publish(manifest)
    return manifest


@pytest.mark.usefixtures("sound")
def test_a_sound_platform_has_no_findings(settings: PlatformSettings) -> None:
    assert examine(settings, NOW) == []


@pytest.mark.usefixtures("sound")
def test_an_empty_platform_has_no_findings(settings: PlatformSettings) -> None:
    shutil.rmtree(settings.lake_root)
    assert examine(settings, NOW) == []


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize(
    ("mode", "log"), [("local", "see {state}/log/{name}.log"), ("docker", "see `docker compose logs {name}`")]
)
def test_a_service_that_is_down_is_found_and_not_asked(settings: PlatformSettings, mode: str, log: str) -> None:
    names = ("airflow-api-server", "hive-server", "mlflow")
    write_report(settings, seen(NOW, down=names))
    in_mode = settings.model_copy(update={"mode": mode})
    assert examine(in_mode, NOW) == [
        Finding(
            name,
            "does not answer, for 42 s",
            log.format(state=settings.state_dir, name=name) + ", then ./restart.sh",
        )
        for name in names
    ]


@pytest.mark.usefixtures("sound")
def test_a_watcher_that_is_away(settings: PlatformSettings) -> None:
    write_report(settings, seen(NOW - dt.timedelta(seconds=31)))
    log = settings.state_dir / "log" / "watcher.log"
    assert examine(settings, NOW) == [
        Finding(
            "watcher",
            "it has not looked at the platform since 2026-01-04 23:59:29 UTC",
            f"if the platform was stopped, start it with ./start.sh; if not, see {log}, then ./restart.sh",
        )
    ]


@pytest.mark.usefixtures("sound")
def test_a_report_that_cannot_be_read(settings: PlatformSettings) -> None:
    (settings.state_dir / "watch" / "health.json").write_text("{", encoding="utf-8")
    (found,) = examine(settings, NOW)
    assert (found.subject, found.remedy) == (
        "watcher",
        "start the platform with ./restart.sh: its watcher writes the file anew",
    )


@pytest.mark.usefixtures("sound")
def test_a_platform_that_was_never_started(settings: PlatformSettings) -> None:
    (settings.state_dir / "watch" / "health.json").unlink()
    assert examine(settings, NOW) == [Finding("platform", "it was never started", "start it with ./start.sh")]


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize(("seconds", "found"), [(60, 0), (61, 1)])
def test_what_does_not_move_and_was_not_mended(settings: PlatformSettings, seconds: float, found: int) -> None:
    still = Standstill(subject="credit_risk_features: the run f1", what="does not start", seconds=seconds)
    write_report(settings, seen(NOW, standstills=(still,)))
    log = settings.state_dir / "log" / "airflow-scheduler.log"
    finding = Finding(
        "airflow", "credit_risk_features: the run f1 does not start, for 61 s", f"see {log}, then ./restart.sh"
    )
    assert examine(settings, NOW) == [finding] * found


@pytest.mark.usefixtures("sound")
def test_a_full_disk(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(10, 9, 1024**3))
    (found,) = examine(settings, NOW)
    assert (found.subject, found.what) == ("disk", f"1.0 GiB are free at {settings.state_dir}, 2 are needed")


@pytest.mark.usefixtures("sound")
def test_a_dag_file_that_cannot_be_read(settings: PlatformSettings, server: ScriptedServer) -> None:
    error = {"filename": "features.py", "stack_trace": "Traceback\nNameError: x\n"}
    server.on("GET", "/api/v2/importErrors", {"import_errors": [error]})
    (found,) = examine(settings, NOW)
    assert found.what == "a DAG file cannot be read: features.py: NameError: x"


def test_files_of_the_snapshot_that_are_gone(sound: SnapshotManifest, settings: PlatformSettings) -> None:
    Lake(settings.lake_root).delete(sound.features_path)
    again = "publish anew: mlops run credit_risk features --force"
    missing = f"its features {sound.features_path} are missing"
    assert examine(settings, NOW) == [Finding("credit_risk snapshot s1", missing, again)]


def test_an_online_store_with_other_entities(sound: SnapshotManifest, settings: PlatformSettings) -> None:
    path = settings.lake_root / sound.online_path
    path.unlink()
    embedded.build(path, ROWS[:2])
    (found,) = examine(settings, NOW)
    assert found.what == "the online store holds 2 entities, the snapshot has 3"


@pytest.mark.usefixtures("sound")
def test_a_snapshot_that_is_too_old(settings: PlatformSettings) -> None:
    write_report(settings, seen(NOW + dt.timedelta(days=7)))
    (found,) = examine(settings, NOW + dt.timedelta(days=7))
    assert found.what == "no run has looked for newer data for 8.0 days, 7 are allowed"
    Snapshots(Lake(settings.lake_root), "credit_risk").note_check(NOW + dt.timedelta(days=6))
    assert examine(settings, NOW + dt.timedelta(days=7)) == [], "a run has found that there is none"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"spec_hash": "0" * 64}, "it was computed for another version of the use case's spec"),
        ({"transform": None, "spec_hash": "0" * 64}, None),
    ],
)
def test_a_snapshot_of_another_spec(
    sound: SnapshotManifest, settings: PlatformSettings, changed: dict[str, str], what: str | None
) -> None:
    Snapshots(Lake(settings.lake_root), "credit_risk").make_current(sound.model_copy(update=changed))
    assert [finding.what for finding in examine(settings, NOW)] == ([] if what is None else [what])


def test_a_snapshot_of_other_formulas_is_found_and_of_other_words_is_not(
    sound: SnapshotManifest, settings: PlatformSettings, credit_risk: UseCase
) -> None:
    lake = Lake(settings.lake_root)
    now = compile_transform(credit_risk)

    def keep_with(**changed: Any) -> list[str]:
        sources = {"features.py": f"{now.transform.sources['features.py']}# a word\n"}
        transform = now.transform.model_copy(update={"sources": sources})
        sha256 = keep(lake, str(sound.compiled_path), now.model_copy(update={"transform": transform} | changed))
        Snapshots(lake, "credit_risk").make_current(sound.model_copy(update={"compiled_sha256": sha256}))
        return [finding.what for finding in examine(settings, NOW)]

    assert keep_with() == []
    assert keep_with(sql="SELECT 1") == ["it was computed by other formulas than those of features.py"]
    lake.put(str(sound.compiled_path), b"{}")
    (damaged,) = examine(settings, NOW)
    assert damaged.what.endswith("of snapshot s1 is damaged: it has another sha256 than its manifest says")


def test_a_broken_use_case_is_found(
    sound: SnapshotManifest, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = BrokenUseCase("titanic", "spec.py, line 3: NameError: x", remedy="correct it")
    found = find_use_cases()
    monkeypatch.setattr(doctor, "find_use_cases", lambda: UseCases(found.usable, (broken,)))
    assert examine(settings, NOW) == [Finding("use case titanic", "spec.py, line 3: NameError: x", "correct it")]


@pytest.mark.usefixtures("sound")
def test_a_view_that_shows_another_snapshot(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHive, "snapshot", "s0")
    assert examine(settings, NOW) == [
        Finding(
            "features.credit_risk_latest",
            "the view shows the snapshot s0, published is s1",
            "point the views at it again: mlops snapshots rollback credit_risk --to s1",
        )
    ]


def test_redis_without_the_snapshot_or_gone(
    sound: SnapshotManifest, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mlops_platform.online_store.redis.LOOKUP_SECONDS", 5.0)  # the machine may be busy
    with redis_server(tmp_path) as server:
        with_redis = settings.model_copy(update={"online_store_url": SecretStr(server.url)})
        (finding,) = examine(with_redis, NOW)
        assert finding.subject == "credit_risk in Redis"
        assert "does not hold the rows of snapshot s1" in finding.what
        assert "run the features DAG again" in finding.remedy
        store = embedded.EmbeddedStore(settings.lake_root / sound.online_path, sound.snapshot)
        publisher = RedisPublisher(server.url)
        publisher.fill(sound.use_case, sound.snapshot, sound.attempt, store.encoded_rows())
        store.close()
        assert examine(with_redis, NOW) == []
    (finding,) = examine(with_redis, NOW)
    assert "did not answer" in finding.what


@pytest.mark.usefixtures("sound")
def test_other_features_in_hive_than_online(settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHive, "rows", [*ROWS[:2], FeatureRow("2", dt.date(2020, 1, 1), {"age": 99})])
    (found,) = examine(settings, NOW)
    assert found.what == "1 of 3 sampled ids have other features online than in Hive"


@pytest.mark.usefixtures("sound")
def test_a_snapshot_without_a_champion(settings: PlatformSettings, server: ScriptedServer) -> None:
    server.on("GET", MODEL, {"error_code": "RESOURCE_DOES_NOT_EXIST"}, status=404)
    (found,) = examine(settings, NOW)
    assert found.what == "it has a snapshot and no champion, so nothing can be predicted"
