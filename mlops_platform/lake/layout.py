"""The folders of the lake.

The lake is a shared volume. Spark and Hive are given URIs (:func:`uri`); manifests, claims and pointers are small files
that Python writes through the paths.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lake:
    """One lake, by its root folder."""

    root: Path

    def raw(self, use_case: str) -> Path:
        return self.root / "raw" / use_case

    def quarantine(self, use_case: str) -> Path:
        return self.root / "quarantine" / use_case

    def features(self, use_case: str) -> Path:
        return self.root / "features" / use_case

    def online(self, use_case: str) -> Path:
        return self.root / "online" / use_case

    def predictions(self, use_case: str) -> Path:
        return self.root / "predictions" / use_case

    def models(self, use_case: str) -> Path:
        """Where a training run leaves its model folders, one per run and family."""
        return self.root / "models" / use_case


def uri(path: Path) -> str:
    """The path as Spark and Hive take it: a scheme before the plain path. They decode nothing, so nothing is encoded.

    >>> uri(Path("/my lake/snapshot=1"))
    'file:///my lake/snapshot=1'
    """
    return f"file://{path.absolute()}"
