"""Snapshots of features: written once under an attempt's own name, claimed, published, and kept for going back.

Objects of a use case, below ``features/<use_case>/``::

    snapshot=<id>/<attempt>/        parquet; the location of the snapshot's Hive partition once it is published
    snapshot=<id>/<attempt>.transform.json
                                    the transform that it was computed by, compiled for DuckDB, with its sources
    snapshot=<id>/claim             the attempt that may publish this snapshot: the one that began last
    snapshot=<id>/snapshot.json     the snapshot's manifest: which attempt counts, what it was made from, its quality
    current.json                    the published snapshot: a copy of its manifest
    checked.json                    when a run last found that the published snapshot has all that there is

``current.json`` is what readers follow. It is replaced in one step, as the last act of publishing.
"""

import datetime as dt
import hashlib
import json
import logging
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mlops_platform.errors import SnapshotError, UnknownSnapshot
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake

SnapshotId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

_CLAIM, _MANIFEST, _POINTER, _CHECKED = "claim", "snapshot.json", "current.json", "checked.json"
_NOBODY = "nobody"
_ATTEMPT = "attempt-"

log = logging.getLogger(__name__)


class RuleFinding(BaseModel):
    """How many raw rows broke one rule."""

    model_config = ConfigDict(frozen=True)

    rule: str
    rows: int


class Quality(BaseModel):
    """What validation found in the raw rows of a snapshot. A row is quarantined once, whatever it breaks."""

    model_config = ConfigDict(frozen=True)

    rows_read: int
    rows_valid: int
    rows_quarantined: int
    findings: tuple[RuleFinding, ...] = ()


class SnapshotManifest(BaseModel):
    """What a snapshot is, what it was made from, and the keys that its files have in the lake.

    ``transform`` is the fingerprint of the features' formulas, at ``compiled_path`` they are as a query. ``inputs`` is
    the digest of all that the rows depend on: two snapshots of the same inputs have the same rows. ``duplicates``
    counts rows that are equal to another one but for their keys: in event time, features and label. All these are None,
    as is the digest of the online store's file, in manifests of before they were there.
    """

    model_config = ConfigDict(frozen=True)

    snapshot: SnapshotId
    use_case: str
    attempt: str
    dataset_version: int
    run_date: dt.date
    created_at: dt.datetime
    spec_hash: str
    transform: Sha256 | None = None
    compiled_path: str | None = None
    compiled_sha256: Sha256 | None = None
    inputs: Sha256 | None = None
    rows: int
    entities: int
    duplicates: int | None = None
    features_path: str
    online_path: str
    online_sha256: Sha256 | None = None
    quarantine_path: str | None = None
    quality: Quality
    timings: dict[str, float] = Field(default_factory=dict)


def snapshot_id(run_id: str) -> str:
    """The snapshot that an Airflow run writes; the same run always gives the same id.

    >>> snapshot_id("manual__2026-01-02T03:04:05.678+00:00")[:30]
    'manual__2026-01-02T03-04-05-67'
    """
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-_")[:60]
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def new_attempt() -> str:
    """A name that no other attempt has."""
    return f"{_ATTEMPT}{uuid.uuid4().hex[:12]}"


class Snapshots:
    """The snapshots of one use case."""

    def __init__(self, lake: Lake, use_case: str) -> None:
        self.lake = lake
        self.use_case = use_case
        self.prefix = layout.features(use_case)

    @property
    def pointer(self) -> str:
        """The key of the object that names the published snapshot."""
        return f"{self.prefix}/{_POINTER}"

    def snapshot_key(self, snapshot: str) -> str:
        return f"{self.prefix}/snapshot={snapshot}"

    def features_key(self, snapshot: str, attempt: str) -> str:
        return f"{self.snapshot_key(snapshot)}/{attempt}"

    def compiled_key(self, snapshot: str, attempt: str) -> str:
        return f"{self.features_key(snapshot, attempt)}.transform.json"

    def online_key(self, snapshot: str, attempt: str) -> str:
        return f"{layout.online(self.use_case)}/snapshot={snapshot}/{attempt}.lmdb"

    def quarantine_key(self, snapshot: str, attempt: str) -> str:
        return f"{layout.quarantine(self.use_case)}/snapshot={snapshot}/{attempt}"

    def claim(self, snapshot: str) -> str:
        """Begin an attempt and take the right to publish from any earlier one. Returns the attempt's name."""
        attempt = new_attempt()
        with self._lease():
            self.lake.put(self._claim(snapshot), attempt.encode())
        return attempt

    @contextmanager
    def publishing(self, snapshot: str, attempt: str) -> Iterator[None]:
        """Be the only one who publishes for the use case, as the attempt that holds the claim.

        Raises:
            SnapshotError: a later attempt holds the claim; nothing may be published.
        """
        with self._lease():
            self._check_claim(snapshot, attempt)
            yield

    def republishing(self) -> AbstractContextManager[None]:
        """Be the only one who publishes, to make an old snapshot current again: that needs no claim."""
        return self._lease()

    def supersedes(self, manifest: SnapshotManifest) -> bool:
        """Whether this snapshot becomes the current one when it is published: not if it is of an earlier day.

        It does where the pointer cannot be read: that is how a damaged one is mended.
        """
        try:
            current = self.current()
        except SnapshotError:
            return True
        return current is None or manifest.snapshot == current.snapshot or manifest.run_date >= current.run_date

    def publish(self, manifest: SnapshotManifest) -> bool:
        """Publish the snapshot: the current one from then on, unless that is of a later day. Returns whether it is.

        Call it last, inside :meth:`publishing`.
        """
        newer = self.supersedes(manifest)
        self.lake.put(f"{self.snapshot_key(manifest.snapshot)}/{_MANIFEST}", _json(manifest))
        if newer:
            self.make_current(manifest)
        return newer

    def make_current(self, manifest: SnapshotManifest) -> None:
        """Make a published snapshot the current one, in one step, whatever its day is. Call it inside a publication."""
        self.lake.put(self.pointer, _json(manifest))

    def current(self) -> SnapshotManifest | None:
        """The published snapshot, or None before the first."""
        return self._read(self.pointer)

    def note_check(self, at: dt.datetime) -> None:
        """Note that a run found, at this time, that the published snapshot has all that there is."""
        current = self.current()
        noted = {"checked_at": at.isoformat(), "snapshot": current and current.snapshot}
        self.lake.put(f"{self.prefix}/{_CHECKED}", json.dumps(noted).encode())

    def checked_at(self) -> dt.datetime | None:
        """When it was last known that the published snapshot has all that there is: when it was made, or checked.

        None before the first snapshot.
        """
        current = self.current()
        if current is None:
            return None
        try:
            noted = json.loads(self.lake.read_if_there(f"{self.prefix}/{_CHECKED}") or b"")
            if noted["snapshot"] != current.snapshot:  # what was checked is not what is published now
                return current.created_at
            return max(current.created_at, dt.datetime.fromisoformat(noted["checked_at"]))
        except (ValueError, LookupError, TypeError):  # none yet, or none that can be read
            return current.created_at

    def get(self, snapshot: str) -> SnapshotManifest:
        """The manifest of one snapshot that has been published.

        Raises:
            UnknownSnapshot: there is none of this name; names those that there are.
        """
        manifest = self.find(snapshot)
        if manifest is None:
            known = ", ".join(manifest.snapshot for manifest in self.published()) or "none yet"
            raise UnknownSnapshot(
                f"{self.use_case} has no snapshot {snapshot!r}; published: {known}",
                remedy="name one of these, or run the features DAG",
            )
        return manifest

    def find(self, snapshot: str) -> SnapshotManifest | None:
        """The manifest of one snapshot, None where none of this name has been published."""
        return self._read(f"{self.snapshot_key(snapshot)}/{_MANIFEST}")

    def published(self) -> list[SnapshotManifest]:
        """Every snapshot that has been published and is still there, the newest first.

        One whose manifest is damaged is left out: it is as if it had not been published.
        """
        manifests = []
        for snapshot in _snapshots_below(self.lake, self.prefix):
            try:
                manifests.append(self.find(snapshot))
            except SnapshotError as error:
                log.warning("left out: %s", error.what)
        return sorted((m for m in manifests if m is not None), key=lambda m: (m.created_at, m.snapshot), reverse=True)

    def before_current(self) -> SnapshotManifest:
        """The snapshot that going back leads to: of those of an earlier day, or made earlier that day, the last.

        Raises:
            UnknownSnapshot: there is none.
        """
        current = self.current()
        older = [m for m in self.published() if current is not None and _place(m) < _place(current)]
        if not older:
            raise UnknownSnapshot(
                f"{self.use_case} has no snapshot before the published one",
                remedy=f"see which there are with `mlops snapshots list {self.use_case}`",
            )
        return max(older, key=_place)

    def attempts(self) -> set[tuple[str, str]]:
        """Every attempt that is published or still may be, as its snapshot's id and its own name."""
        with self._lease():
            published = {(manifest.snapshot, manifest.attempt) for manifest in self.published()}
            claimed = {(snapshot, self._holder(snapshot)) for snapshot in self._ids()}
            return published | {(snapshot, holder) for snapshot, holder in claimed if holder != _NOBODY}

    def abandon(self, snapshot: str, attempt: str) -> None:
        """Remove the features of an attempt that failed before it began to publish, and give its claim back.

        Its quarantine stays: it says why.
        """
        with self._lease():
            self.lake.delete(self.features_key(snapshot, attempt))
            self.lake.delete(self.compiled_key(snapshot, attempt))
            self.lake.delete(self.online_key(snapshot, attempt))
            if self._holder(snapshot) == attempt:
                self.lake.delete(self._claim(snapshot))

    def prune(self, kept: int, forget: Callable[[str], None]) -> list[str]:
        """Delete what nobody needs any more; call it inside :meth:`publishing`. Returns the ids of snapshots that went.

        The current snapshot and the newest ``kept`` stay, each with the attempt that its manifest names and the one
        that holds its claim. What was never published goes once ``kept`` snapshots were published after it began.
        ``forget`` is called with a snapshot's id when no reader finds it any more, and before its files go.
        """
        newest = self.published()[:kept]
        current = self.current()
        staying = {manifest.snapshot: manifest for manifest in newest + ([current] if current else [])}
        for manifest in staying.values():
            self._remove_attempts_but({manifest.attempt, self._holder(manifest.snapshot)}, manifest.snapshot)
        if len(newest) < kept:
            return []
        removed = []
        for snapshot in sorted(self._ids() - staying.keys()):
            if self._is_published(snapshot) or self._began_before(snapshot, newest[-1].created_at):
                self.lake.delete(f"{self.snapshot_key(snapshot)}/{_MANIFEST}")
                forget(snapshot)
                for area in self._areas():
                    self.lake.delete(f"{area}/snapshot={snapshot}")
                removed.append(snapshot)
        return removed

    def _areas(self) -> tuple[str, ...]:
        return self.prefix, layout.online(self.use_case), layout.quarantine(self.use_case)

    def _ids(self) -> set[str]:
        return {snapshot for area in self._areas() for snapshot in _snapshots_below(self.lake, area)}

    def _is_published(self, snapshot: str) -> bool:
        return self.lake.exists(f"{self.snapshot_key(snapshot)}/{_MANIFEST}")

    def _began_before(self, snapshot: str, time: dt.datetime) -> bool:
        """By its claim; an attempt that gave that back ended with the last that it wrote."""
        began = self.lake.written_at(self._claim(snapshot))
        written = [began] if began else [self.lake.written_at(f"{area}/snapshot={snapshot}") for area in self._areas()]
        return all(at < time for at in written if at is not None)

    def _remove_attempts_but(self, staying: set[str], snapshot: str) -> None:
        for area in self._areas():
            below = f"{area}/snapshot={snapshot}"
            names = {key.removeprefix(f"{below}/").split("/")[0] for key in self.lake.keys(below)}
            for name in names:
                if name.startswith(_ATTEMPT) and name.partition(".")[0] not in staying:
                    self.lake.delete(f"{below}/{name}")

    def _holder(self, snapshot: str) -> str:
        held = self.lake.read_if_there(self._claim(snapshot))
        return _NOBODY if held is None else held.decode()

    def _claim(self, snapshot: str) -> str:
        return f"{self.snapshot_key(snapshot)}/{_CLAIM}"

    def _check_claim(self, snapshot: str, attempt: str) -> None:
        holder = self._holder(snapshot)
        if holder != attempt:
            raise SnapshotError(
                f"snapshot {snapshot} of {self.use_case} is claimed by {holder}, not by {attempt}",
                remedy="nothing to do: a later attempt of the same run took over and publishes instead",
            )

    def _lease(self) -> AbstractContextManager[None]:
        return self.lake.lease(self.prefix)

    def _read(self, key: str) -> SnapshotManifest | None:
        content = self.lake.read_if_there(key)
        if content is None:
            return None
        try:
            return SnapshotManifest.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise SnapshotError(
                f"{key} is no snapshot manifest ({where}: {first['msg']})",
                remedy=f"publish anew: mlops run {self.use_case} features --force",
            ) from None


def _place(manifest: SnapshotManifest) -> tuple[dt.date, dt.datetime]:
    return manifest.run_date, manifest.created_at


def _snapshots_below(lake: Lake, area: str) -> list[str]:
    return [name.removeprefix("snapshot=") for name in lake.folders(area) if name.startswith("snapshot=")]


def _json(manifest: SnapshotManifest) -> bytes:
    return (manifest.model_dump_json(indent=2) + "\n").encode()
