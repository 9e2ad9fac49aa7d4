"""Snapshots of features: written once under an attempt's own name, claimed, published, and kept for going back.

Files of a use case, under ``features/<use_case>/``::

    snapshot=<id>/<attempt>/        parquet; the location of the snapshot's Hive partition once it is published
    snapshot=<id>/claim             the attempt that may publish this snapshot: the one that began last
    snapshot=<id>/snapshot.json     the snapshot's manifest: which attempt counts, what it was made from, its quality
    current.json                    the published snapshot: a copy of its manifest

``current.json`` is what readers follow. It is replaced in one step, as the last act of publishing.
"""

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mlops_platform.errors import SnapshotError
from mlops_platform.files import locked, sync_folder, write_text
from mlops_platform.lake.layout import Lake

SnapshotId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]


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
    """What a snapshot is and where its files lie, relative to the lake's root."""

    model_config = ConfigDict(frozen=True)

    snapshot: SnapshotId
    use_case: str
    attempt: str
    dataset_version: int
    run_date: dt.date
    created_at: dt.datetime
    spec_hash: str
    rows: int
    entities: int
    features_path: str
    online_path: str
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
    return f"attempt-{uuid.uuid4().hex[:12]}"


def make_durable(folder: Path) -> None:
    """Wait until all that was written below the folder would survive a power cut."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for parent in (folder, folder.parent, folder.parent.parent):
        sync_folder(parent)


class Snapshots:
    """The snapshots of one use case."""

    def __init__(self, lake: Lake, use_case: str) -> None:
        self.lake = lake
        self.use_case = use_case
        self.folder = lake.features(use_case)

    def snapshot_folder(self, snapshot: str) -> Path:
        return self.folder / f"snapshot={snapshot}"

    def features_folder(self, snapshot: str, attempt: str) -> Path:
        return self.snapshot_folder(snapshot) / attempt

    def online_file(self, snapshot: str, attempt: str) -> Path:
        return self.lake.online(self.use_case) / f"snapshot={snapshot}" / f"{attempt}.lmdb"

    def quarantine_folder(self, snapshot: str, attempt: str) -> Path:
        return self.lake.quarantine(self.use_case) / f"snapshot={snapshot}" / attempt

    def claim(self, snapshot: str) -> str:
        """Begin an attempt and take the right to publish from any earlier one. Returns the attempt's name."""
        attempt = new_attempt()
        with self._lock():
            write_text(self.snapshot_folder(snapshot) / "claim", attempt)
        return attempt

    @contextmanager
    def publishing(self, snapshot: str, attempt: str) -> Iterator[None]:
        """Hold the use case's publication lock while this attempt publishes.

        Raises:
            SnapshotError: a later attempt holds the claim; nothing may be published.
        """
        with self._lock():
            self._check_claim(snapshot, attempt)
            yield

    def republishing(self) -> AbstractContextManager[None]:
        """Hold the publication lock while an old snapshot is made current again: it needs no claim."""
        return self._lock()

    def publish(self, manifest: SnapshotManifest) -> None:
        """Make the snapshot the current one, in one step. Call it last, inside one of the two above."""
        text = manifest.model_dump_json(indent=2) + "\n"
        write_text(self.snapshot_folder(manifest.snapshot) / "snapshot.json", text)
        write_text(self.folder / "current.json", text)

    def current(self) -> SnapshotManifest | None:
        """The published snapshot, or None before the first."""
        return self._read(self.folder / "current.json")

    def get(self, snapshot: str) -> SnapshotManifest:
        """The manifest of one snapshot that has been published.

        Raises:
            SnapshotError: there is none of this name; names those that there are.
        """
        manifest = self._read(self.snapshot_folder(snapshot) / "snapshot.json")
        if manifest is None:
            known = ", ".join(manifest.snapshot for manifest in self.published()) or "none yet"
            raise SnapshotError(
                f"{self.use_case} has no snapshot {snapshot!r}; published: {known}",
                remedy="name one of these, or run the features DAG",
            )
        return manifest

    def published(self) -> list[SnapshotManifest]:
        """Every snapshot that has been published and is still kept, the newest first."""
        found = (self._read(path) for path in self.folder.glob("snapshot=*/snapshot.json"))
        return sorted((m for m in found if m is not None), key=lambda m: (m.created_at, m.snapshot), reverse=True)

    def attempts(self) -> set[tuple[str, str]]:
        """Every attempt that is published or still may be, as its snapshot's id and its own name."""
        with self._lock():
            published = {(manifest.snapshot, manifest.attempt) for manifest in self.published()}
            return published | {(snapshot, self._holder(snapshot)) for snapshot in self._ids()}

    def abandon(self, snapshot: str, attempt: str) -> None:
        """Remove the features of an attempt that failed before it began to publish, and give its claim back.

        Its quarantine stays: it says why.
        """
        with self._lock():
            shutil.rmtree(self.features_folder(snapshot, attempt), ignore_errors=True)
            self.online_file(snapshot, attempt).unlink(missing_ok=True)
            if self._holder(snapshot) == attempt:
                (self.snapshot_folder(snapshot) / "claim").unlink()
            for folder in (self.snapshot_folder(snapshot), self.online_file(snapshot, attempt).parent):
                with suppress(OSError):  # missing, or another attempt's files are in it
                    folder.rmdir()

    def prune(self, kept: int, forget: Callable[[str], None]) -> list[str]:
        """Delete what nobody needs any more; call it inside :meth:`publishing`. Returns the ids of snapshots that went.

        The current snapshot and the newest ``kept`` stay, each with the attempt that its manifest names and the one
        that holds its claim. What was never published goes once ``kept`` snapshots were published after it began.
        ``forget`` is called with a snapshot's id before its files go.
        """
        newest = self.published()[:kept]
        current = self.current()
        staying = {manifest.snapshot: manifest for manifest in newest + ([current] if current else [])}
        for manifest in staying.values():
            self._remove_attempts_but({manifest.attempt, self._holder(manifest.snapshot)}, manifest.snapshot)
        if len(newest) < kept:
            return []
        began_before = newest[-1].created_at.timestamp()
        removed = []
        for snapshot in sorted(self._ids() - staying.keys()):
            if self._read(self.snapshot_folder(snapshot) / "snapshot.json") or self._began(snapshot) < began_before:
                forget(snapshot)
                self._remove(snapshot)
                removed.append(snapshot)
        return removed

    def _areas(self) -> tuple[Path, ...]:
        return self.folder, self.lake.online(self.use_case), self.lake.quarantine(self.use_case)

    def _ids(self) -> set[str]:
        return {folder.name.partition("=")[2] for area in self._areas() for folder in area.glob("snapshot=*")}

    def _began(self, snapshot: str) -> float:
        folders = (area / f"snapshot={snapshot}" for area in self._areas())
        return max(folder.stat().st_mtime for folder in folders if folder.exists())

    def _remove(self, snapshot: str) -> None:
        # the manifest goes first: a snapshot without one does not exist to any reader
        (self.snapshot_folder(snapshot) / "snapshot.json").unlink(missing_ok=True)
        for area in self._areas():
            shutil.rmtree(area / f"snapshot={snapshot}", ignore_errors=True)

    def _remove_attempts_but(self, staying: set[str], snapshot: str) -> None:
        for area in self._areas():
            for path in (area / f"snapshot={snapshot}").glob("attempt-*"):
                if path.name.partition(".")[0] not in staying:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _holder(self, snapshot: str) -> str:
        path = self.snapshot_folder(snapshot) / "claim"
        return path.read_text(encoding="utf-8") if path.exists() else "nobody"

    def _check_claim(self, snapshot: str, attempt: str) -> None:
        holder = self._holder(snapshot)
        if holder != attempt:
            raise SnapshotError(
                f"snapshot {snapshot} of {self.use_case} is claimed by {holder}, not by {attempt}",
                remedy="nothing to do: a later attempt of the same run took over and publishes instead",
            )

    def _lock(self) -> AbstractContextManager[None]:
        return locked(self.folder / ".lock")

    def _read(self, path: Path) -> SnapshotManifest | None:
        try:
            return SnapshotManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValidationError, ValueError) as error:
            raise SnapshotError(
                f"{path} is no snapshot manifest ({error})", remedy="run the features DAG again to publish anew"
            ) from None
