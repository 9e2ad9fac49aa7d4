"""One attempt at a snapshot."""

from dataclasses import dataclass

from mlops_platform.lake.snapshots import Snapshots


@dataclass(frozen=True)
class Attempt:
    """Where it writes, as keys of the lake. Another attempt at the same snapshot writes elsewhere."""

    snapshots: Snapshots
    snapshot: str
    name: str

    @property
    def features(self) -> str:
        return self.snapshots.features_key(self.snapshot, self.name)

    @property
    def quarantine(self) -> str:
        return self.snapshots.quarantine_key(self.snapshot, self.name)

    @property
    def online(self) -> str:
        return self.snapshots.online_key(self.snapshot, self.name)

    @property
    def compiled(self) -> str:
        return self.snapshots.compiled_key(self.snapshot, self.name)
