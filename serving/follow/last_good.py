"""What a use case was served from last: a start needs neither the lake nor the registry.

One small file, replaced whole: a snapshot is never noted with a champion that it was not served with. All workers of
the service note in the same one.
"""

import json
import logging
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_platform.files import locked, replace_file
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.models.registry import CHALLENGER, CHAMPION
from serving.model import Registration

logger = logging.getLogger(__name__)

_CHAMPIONS_KEPT = 10


class LastGood(BaseModel):
    """``champions``: the one that answers comes last, before it those that did and could again."""

    model_config = ConfigDict(frozen=True)

    snapshot: SnapshotManifest | None = None
    champions: tuple[Registration, ...] = ()
    challenger: Registration | None = None

    @property
    def champion(self) -> Registration | None:
        return self.champions[-1] if self.champions else None

    @property
    def models(self) -> tuple[Registration, ...]:
        return self.champions if self.challenger is None else (*self.champions, self.challenger)

    def followed_by(
        self, snapshot: SnapshotManifest | None, champion: Registration | None, challenger: Registration | None
    ) -> "LastGood":
        """What is to be noted after this. Going back to an earlier champion forgets those after it."""
        return LastGood(
            snapshot=snapshot or self.snapshot,
            champions=self.champions if champion is None else _up_to(self.champions, champion),
            challenger=challenger,
        )


def _up_to(known: tuple[Registration, ...], champion: Registration) -> tuple[Registration, ...]:
    digests = [one.manifest_sha256 for one in known]
    at = digests.index(champion.manifest_sha256) if champion.manifest_sha256 in digests else len(known)
    return (*known[:at], champion)[-_CHAMPIONS_KEPT:]


class LastGoodFile:
    """The note of one use case. ``models`` and ``snapshots`` are the folders in which copies are kept."""

    def __init__(self, path: Path, models: Path, snapshots: Path) -> None:
        self._path = path
        self._models = models
        self._snapshots = snapshots

    def read(self) -> LastGood:
        """The note; an empty one where there is none, or none that can be read."""
        try:
            return LastGood.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return self._of_the_first_layout()
        except (OSError, ValidationError) as error:
            logger.error("last good state not read", extra={"file": str(self._path), "reason": str(error)})
            return LastGood()

    def note(
        self, snapshot: SnapshotManifest | None, champion: Registration | None, challenger: Registration | None
    ) -> LastGood:
        """Durable when this returns; nothing is written where it is noted already. Returns the note.

        Raises:
            OSError: it cannot be written.
        """
        with locked(self._path.with_suffix(".lock")):
            before = self.read()
            after = before.followed_by(snapshot, champion, challenger)
            if after != before or not self._path.exists():
                replace_file(self._path, after.model_dump_json(indent=2).encode())
            return after

    def _of_the_first_layout(self) -> LastGood:
        """What is to be had from three files: a snapshot's manifest, and the version numbers of each alias."""
        challengers = self._registrations(CHALLENGER)
        return LastGood(
            snapshot=self._snapshot_of_the_first_layout(),
            champions=tuple(self._registrations(CHAMPION)),
            challenger=challengers[-1] if challengers else None,
        )

    def _snapshot_of_the_first_layout(self) -> SnapshotManifest | None:
        try:
            return SnapshotManifest.model_validate_json((self._snapshots / "current.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def _registrations(self, alias: str) -> list[Registration]:
        try:
            versions = json.loads((self._models / f"{alias}.json").read_bytes())["versions"]
            files = [self._models / version / "registration.json" for version in versions]
            return [Registration.model_validate_json(file.read_bytes()) for file in files if file.exists()]
        except (OSError, ValueError, KeyError):
            return []
