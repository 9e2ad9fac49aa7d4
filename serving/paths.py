"""Where the service keeps its own state."""

from dataclasses import dataclass
from pathlib import Path

from mlops_platform.settings import PlatformSettings


@dataclass(frozen=True)
class ServingPaths:
    """One folder. The log and the keys must not be lost, nor who answers (the routing); the rest is made again."""

    root: Path

    def models(self, use_case: str) -> Path:
        return self.root / "models" / use_case

    def snapshots(self, use_case: str) -> Path:
        return self.root / "snapshots" / use_case

    def last_good(self, use_case: str) -> Path:
        return self.root / "last_good" / f"{use_case}.json"

    def routing(self, use_case: str) -> Path:
        return self.root / "routing" / f"{use_case}.json"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def api_keys(self) -> Path:
        return self.root / "api_keys.json"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"


def serving_paths(settings: PlatformSettings) -> ServingPaths:
    return ServingPaths(settings.state_dir / "serving")
