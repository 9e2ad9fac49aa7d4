import datetime as dt
import os
from pathlib import Path

import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots, snapshot_id


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(Lake(tmp_path), "credit_risk")


def begin(snapshots: Snapshots, snapshot: str) -> str:
    """Claims the snapshot and leaves files of the attempt in every area."""
    attempt = snapshots.claim(snapshot)
    for prefix in (snapshots.features_key(snapshot, attempt), snapshots.quarantine_key(snapshot, attempt)):
        snapshots.lake.put(f"{prefix}/part.parquet", b"rows")
    snapshots.lake.put(snapshots.online_key(snapshot, attempt), b"store")
    return attempt


def manifest_of(snapshots: Snapshots, snapshot: str, attempt: str, day: int) -> SnapshotManifest:
    return SnapshotManifest(
        snapshot=snapshot,
        use_case="credit_risk",
        attempt=attempt,
        dataset_version=1,
        run_date=dt.date(2100, 1, day),
        created_at=dt.datetime(2100, 1, day, tzinfo=dt.UTC),
        spec_hash="0" * 64,
        rows=3,
        entities=2,
        features_path=snapshots.features_key(snapshot, attempt),
        online_path=snapshots.online_key(snapshot, attempt),
        quality=Quality(rows_read=3, rows_valid=3, rows_quarantined=0),
    )


def publish(snapshots: Snapshots, snapshot: str, day: int) -> SnapshotManifest:
    attempt = begin(snapshots, snapshot)
    manifest = manifest_of(snapshots, snapshot, attempt, day)
    with snapshots.publishing(snapshot, attempt):
        snapshots.publish(manifest)
    return manifest


def areas(snapshots: Snapshots, snapshot: str) -> list[bool]:
    """Whether there are features, an online store and a quarantine of the snapshot."""
    prefixes = (snapshots.prefix, layout.online("credit_risk"), layout.quarantine("credit_risk"))
    keys = [snapshots.lake.keys(f"{prefix}/snapshot={snapshot}") for prefix in prefixes]
    return [any("/attempt-" in key for key in found) for found in keys]


def test_the_same_run_has_the_same_snapshot_and_another_run_another() -> None:
    run = "manual__2026-01-02T03:04:05.678+00:00"

    assert snapshot_id(run) == snapshot_id(run) == "manual__2026-01-02T03-04-05-678-00-00-405a0fae"
    assert snapshot_id("a b") != snapshot_id("a/b")
    assert snapshot_id("…") == "b4935894"


def test_nothing_is_published_at_first(snapshots: Snapshots) -> None:
    assert snapshots.current() is None
    assert snapshots.published() == []
    with pytest.raises(SnapshotError) as error:
        snapshots.get("a")
    assert str(error.value) == (
        "credit_risk has no snapshot 'a'; published: none yet. Remedy: name one of these, or run the features DAG"
    )


def test_the_snapshot_published_last_is_the_current_one(snapshots: Snapshots) -> None:
    first, second = publish(snapshots, "a", 1), publish(snapshots, "b", 2)

    assert snapshots.current() == second
    assert snapshots.published() == [second, first]
    assert snapshots.get("a") == first


def test_going_back_is_moving_the_pointer(snapshots: Snapshots) -> None:
    first = publish(snapshots, "a", 1)
    publish(snapshots, "b", 2)

    snapshots.make_current(snapshots.get("a"))

    assert snapshots.current() == first


def test_the_attempt_that_began_last_holds_the_claim(snapshots: Snapshots) -> None:
    earlier, later = snapshots.claim("a"), snapshots.claim("a")

    with (
        pytest.raises(SnapshotError, match=f"is claimed by {later}, not by {earlier}"),
        snapshots.publishing("a", earlier),
    ):
        pass
    with snapshots.publishing("a", later):
        pass
    with pytest.raises(SnapshotError, match="is claimed by nobody, not by x"), snapshots.publishing("b", "x"):
        pass


def test_an_abandoned_attempt_leaves_its_quarantine(snapshots: Snapshots) -> None:
    attempt = begin(snapshots, "a")

    snapshots.abandon("a", attempt)

    assert areas(snapshots, "a") == [False, False, True]


def test_an_abandoned_attempt_leaves_the_files_and_the_claim_of_others(snapshots: Snapshots) -> None:
    published = publish(snapshots, "a", 1)
    lost, holder = begin(snapshots, "a"), begin(snapshots, "a")

    snapshots.abandon("a", lost)

    assert snapshots.lake.exists(snapshots.features_key("a", published.attempt))
    assert snapshots.lake.exists(snapshots.features_key("a", holder))
    assert not snapshots.lake.exists(snapshots.features_key("a", lost))
    with snapshots.publishing("a", holder):
        pass


def test_pruning_keeps_the_newest_and_the_current_one(snapshots: Snapshots) -> None:
    for day, snapshot in enumerate("abcd", start=1):
        publish(snapshots, snapshot, day)
    snapshots.make_current(snapshots.get("a"))
    forgotten: list[str] = []

    assert snapshots.prune(2, forgotten.append) == ["b"]

    assert forgotten == ["b"]
    assert [manifest.snapshot for manifest in snapshots.published()] == ["d", "c", "a"]
    assert areas(snapshots, "b") == [False, False, False]
    assert areas(snapshots, "a") == [True, True, True]


def test_the_attempts_that_count_are_published_or_hold_their_claim(snapshots: Snapshots) -> None:
    publish(snapshots, "a", 1)
    second = publish(snapshots, "a", 2)
    begin(snapshots, "b")
    running = begin(snapshots, "b")
    rerun = begin(snapshots, "a")

    assert snapshots.attempts() == {("a", second.attempt), ("a", rerun), ("b", running)}


def test_pruning_removes_attempts_that_neither_count_nor_may_publish(snapshots: Snapshots) -> None:
    first = publish(snapshots, "a", 1)
    second = publish(snapshots, "a", 2)
    running = begin(snapshots, "a")

    snapshots.prune(2, lambda _: None)

    assert not snapshots.lake.exists(snapshots.features_key("a", first.attempt))
    assert not snapshots.lake.exists(snapshots.online_key("a", first.attempt))
    assert not snapshots.lake.exists(snapshots.quarantine_key("a", first.attempt))
    assert snapshots.lake.exists(snapshots.online_key("a", second.attempt))
    assert snapshots.lake.exists(snapshots.features_key("a", running))


def test_pruning_removes_what_was_never_published_once_it_is_old(snapshots: Snapshots, tmp_path: Path) -> None:
    begin(snapshots, "dead")
    publish(snapshots, "a", 1)
    assert snapshots.prune(2, lambda _: None) == []
    publish(snapshots, "b", 2)
    begin(snapshots, "running")
    later = dt.datetime(2100, 1, 3, tzinfo=dt.UTC).timestamp()
    os.utime(tmp_path / "features/credit_risk/snapshot=running/claim", (later, later))

    assert snapshots.prune(2, lambda _: None) == ["dead"]

    assert areas(snapshots, "running") == [True, True, True]


def test_an_earlier_day_never_becomes_current_by_being_published_later(snapshots: Snapshots) -> None:
    today = publish(snapshots, "today", 9)
    attempt = begin(snapshots, "backfill")
    backfill = manifest_of(snapshots, "backfill", attempt, 3)
    with snapshots.publishing("backfill", attempt):
        assert not snapshots.supersedes(backfill)
        assert snapshots.publish(backfill) is False
    assert snapshots.current() == today
    assert snapshots.get("backfill") == backfill


def test_a_check_counts_as_news_and_an_older_one_does_not(snapshots: Snapshots) -> None:
    assert snapshots.checked_at() is None
    manifest = publish(snapshots, "a", 2)
    assert snapshots.checked_at() == manifest.created_at
    later = manifest.created_at + dt.timedelta(days=3)
    snapshots.note_check(later)
    assert snapshots.checked_at() == later
    newer = publish(snapshots, "b", 9)
    assert snapshots.checked_at() == newer.created_at
    snapshots.note_check(newer.created_at + dt.timedelta(days=1))
    snapshots.make_current(manifest)
    assert snapshots.checked_at() == manifest.created_at, "to go back is no news"


def test_a_manifest_of_before_the_digests_is_read(snapshots: Snapshots) -> None:
    manifest = publish(snapshots, "a", 1)
    content = manifest.model_dump_json(exclude={"transform", "inputs", "online_sha256"})
    snapshots.lake.put(snapshots.pointer, content.encode())
    assert snapshots.current() == manifest


def test_going_back_leads_to_the_day_before_and_not_to_a_backfill(snapshots: Snapshots) -> None:
    ninth = publish(snapshots, "ninth", 9)
    attempt = begin(snapshots, "backfill")
    later = ninth.created_at + dt.timedelta(hours=1)
    with snapshots.publishing("backfill", attempt):
        snapshots.publish(manifest_of(snapshots, "backfill", attempt, 3).model_copy(update={"created_at": later}))
    publish(snapshots, "tenth", 10)
    assert snapshots.before_current() == ninth
    snapshots.make_current(ninth)
    assert snapshots.before_current().snapshot == "backfill"
    snapshots.make_current(snapshots.before_current())
    with pytest.raises(SnapshotError, match="credit_risk has no snapshot before the published one"):
        snapshots.before_current()


def test_a_damaged_pointer_is_mended_by_the_next_publication(snapshots: Snapshots) -> None:
    publish(snapshots, "a", 5)
    snapshots.lake.put(snapshots.pointer, b"{")
    with pytest.raises(SnapshotError, match=r"is no snapshot manifest .* publish anew: mlops run credit_risk features"):
        snapshots.current()
    second = publish(snapshots, "b", 4)
    assert snapshots.current() == second


def test_a_damaged_manifest_holds_up_nothing_else(snapshots: Snapshots) -> None:
    first = publish(snapshots, "a", 1)
    publish(snapshots, "b", 2)
    snapshots.lake.put(f"{snapshots.snapshot_key('b')}/snapshot.json", b"{}")
    third = publish(snapshots, "c", 3)
    assert snapshots.published() == [third, first]
    assert snapshots.prune(2, lambda _: None) == ["b"]


def test_a_check_that_cannot_be_read_is_none(snapshots: Snapshots) -> None:
    manifest = publish(snapshots, "a", 1)
    snapshots.lake.put("features/credit_risk/checked.json", b"\xff")
    assert snapshots.checked_at() == manifest.created_at


def test_what_is_pruned_is_out_of_sight_before_hive_forgets_it(snapshots: Snapshots) -> None:
    for day, snapshot in enumerate("abc", start=1):
        publish(snapshots, snapshot, day)
    seen: list[tuple[str, bool, bool]] = []

    def forget(snapshot: str) -> None:
        seen.append((snapshot, snapshots.find(snapshot) is None, any(areas(snapshots, snapshot))))

    snapshots.prune(2, forget)
    assert seen == [("a", True, True)]


def test_only_whoever_has_a_claim_is_an_attempt(snapshots: Snapshots) -> None:
    snapshots.abandon("a", begin(snapshots, "a"))
    holder = begin(snapshots, "b")
    assert snapshots.attempts() == {("b", holder)}
