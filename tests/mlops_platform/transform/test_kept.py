"""The transforms that snapshots keep: what is read back, and under which fingerprint formulas are known."""

import datetime as dt
from pathlib import Path

import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.kept import fingerprint_of, keep, read_kept
from tests.mlops_platform.transform.compiling import compiled, transform


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(Lake(tmp_path), "made_up")


def published(snapshots: Snapshots, one: CompiledTransform | None, fingerprint: str) -> SnapshotManifest:
    attempt = snapshots.claim("s1")
    key = snapshots.compiled_key("s1", attempt)
    manifest = SnapshotManifest(
        snapshot="s1",
        use_case="made_up",
        attempt=attempt,
        dataset_version=1,
        run_date=dt.date(2026, 1, 4),
        created_at=dt.datetime(2026, 1, 4, tzinfo=dt.UTC),
        spec_hash="0" * 64,
        transform=fingerprint,
        compiled_path=None if one is None else key,
        compiled_sha256=None if one is None else keep(snapshots.lake, key, one),
        rows=1,
        entities=1,
        features_path=snapshots.features_key("s1", attempt),
        online_path=snapshots.online_key("s1", attempt),
        quality=Quality(rows_read=1, rows_valid=1, rows_quarantined=0),
    )
    with snapshots.publishing("s1", attempt):
        snapshots.publish(manifest)
    return manifest


def a_query(sql: str = "SELECT 1", compiler: str = "2") -> CompiledTransform:
    return CompiledTransform(sql=sql, compiler={"sqlglot": compiler}, transform=transform("return raw"))


def test_what_is_kept_is_read_back_and_goes_with_its_attempt(snapshots: Snapshots) -> None:
    manifest = published(snapshots, a_query(), "f" * 64)

    assert read_kept(snapshots.lake, manifest) == a_query()
    snapshots.abandon("s1", manifest.attempt)
    assert not snapshots.lake.exists(str(manifest.compiled_path))


def test_one_that_was_changed_is_refused_and_none_is_no_fault(snapshots: Snapshots) -> None:
    manifest = published(snapshots, a_query(), "f" * 64)
    snapshots.lake.put(str(manifest.compiled_path), b"{}")

    with pytest.raises(SnapshotError, match="is damaged: it has another sha256 than its manifest says"):
        read_kept(snapshots.lake, manifest)
    assert fingerprint_of(a_query("SELECT 2"), snapshots) == a_query("SELECT 2").fingerprint
    assert read_kept(snapshots.lake, published(snapshots, None, "f" * 64)) is None


def test_a_newer_compiler_leaves_the_fingerprint_of_the_same_formulas(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    formulas = transform('return raw.select("row", (F.col("number") + 1).alias("f"))')
    now = compiled(formulas)
    monkeypatch.setattr("mlops_platform.transform.compile.compile_anew", compiled)
    published(snapshots, CompiledTransform(sql="SELECT 1", compiler={"sqlglot": "1"}, transform=formulas), "a" * 64)

    assert fingerprint_of(now, snapshots) == "a" * 64
    others = now.model_copy(update={"sql": "SELECT 2"})
    assert fingerprint_of(others, snapshots) == others.fingerprint


def test_formulas_of_one_compiler_are_told_by_their_query_alone(
    snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(snapshots, a_query(), a_query().fingerprint)
    monkeypatch.setattr("mlops_platform.transform.compile.compile_anew", None)  # nothing is compiled

    assert fingerprint_of(a_query(), snapshots) == a_query().fingerprint
    assert fingerprint_of(a_query("SELECT 2"), snapshots) == a_query("SELECT 2").fingerprint
