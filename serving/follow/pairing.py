"""Which snapshot and which champion are served together: only those that fit each other."""

from typing import NamedTuple

from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.models.manifest import fits
from serving.model import ServedModel
from serving.served import ServedStore


class OpenSnapshot(NamedTuple):
    """A snapshot that can be looked up in."""

    manifest: SnapshotManifest
    store: ServedStore


class Pair(NamedTuple):
    """What answers, or could; either may be lacking."""

    snapshot: OpenSnapshot | None
    champion: ServedModel | None

    @property
    def is_whole(self) -> bool:
        """Both are there, and fit."""
        both = self.snapshot is not None and self.champion is not None
        return both and model_fits(self.champion, self.snapshot)


def model_fits(model: ServedModel | None, snapshot: OpenSnapshot | None) -> bool:
    """Likewise; what is not there fits everything."""
    return model is None or snapshot is None or fits(model.manifest, snapshot.manifest)


def next_pair(now: Pair, newest: Pair) -> Pair:
    """What to answer from next: the newest of each, unless that would be a pair that does not fit.

    Until there is a snapshot and a champion that fit, those of now go on, both of them.
    """
    wanted = Pair(newest.snapshot or now.snapshot, newest.champion or now.champion)
    if model_fits(wanted.champion, wanted.snapshot):
        return wanted
    for pair in (Pair(now.snapshot, wanted.champion), Pair(wanted.snapshot, now.champion)):
        if pair.is_whole:
            return pair
    # ids can be looked up without a champion; a champion that answers is not given up for that
    return now if now.champion is not None else Pair(wanted.snapshot, None)
