"""What only those know who have the lake and Hive: which ids there are, what was logged, what fits, what disagrees.

Under Compose that is a container: there ``python -m stack.chaos.evidence QUESTION ...`` answers in JSON.
"""

import datetime as dt
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_platform.console import complain
from mlops_platform.errors import ModelError, PlatformError, SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import MANIFEST_FILE, fits
from mlops_platform.models.registry import ModelRegistry
from mlops_platform.online_store.published import published_store
from mlops_platform.services.doctor import examine_data
from mlops_platform.settings import PlatformSettings, load_settings
from mlops_platform.use_case.find import get_use_case
from stack.bare.compose import COMPOSE, INSIDE
from stack.bare.docker import DockerFailed, docker


def ids(settings: PlatformSettings, use_case: str, count: str) -> list[str]:
    """So many ids of the published snapshot.

    Raises:
        SnapshotError: nothing is published.
    """
    lake = Lake(settings.lake_root)
    manifest = Snapshots(lake, use_case).current()
    if manifest is None:
        raise SnapshotError(f"{use_case} has no published snapshot", remedy=f"run `mlops run {use_case} features`")
    with published_store(lake, manifest) as store:
        return store.sample(int(count))


def logged(settings: PlatformSettings, use_case: str, since: str) -> dict[str, int]:
    """How many served rows Hive's table of predictions has of each request, of those since then (seconds of 1970).

    Raises:
        HiveUnavailable: HiveServer2 does not answer, or there is no table yet.
    """
    from mlops_platform.online_store.hive import run_query  # noqa: PLC0415 - the machine of containers has no PyHive

    name = get_use_case(use_case).name
    statement = (
        f"SELECT request_id, COUNT(*) FROM predictions.{name} "  # noqa: S608 - a use case's name is an identifier
        "WHERE served AND `time` >= timestamp_seconds(%(since)s) GROUP BY request_id"
    )
    address = settings.hiveserver2_host, settings.hiveserver2_port
    return {row[0]: int(row[1]) for row in run_query(*address, statement, {"since": float(since)})}


def unfit(settings: PlatformSettings, use_case: str, *pairs: str) -> dict[str, str]:
    """Of pairs ``<model version>@<snapshot>`` those that must not answer together, each with the reason."""
    snapshots = Snapshots(Lake(settings.lake_root), use_case)
    found = {}
    with ModelRegistry(settings.mlflow_url) as registry:
        for pair in pairs:
            version, _, snapshot = pair.partition("@")
            reason = _reason_not_to_fit(registry, use_case, version, snapshots.find(snapshot))
            if reason is not None:
                found[pair] = reason
    return found


def _reason_not_to_fit(
    registry: ModelRegistry, use_case: str, version: str, snapshot: SnapshotManifest | None
) -> str | None:
    if snapshot is None:
        return "no such snapshot was published"
    try:
        with TemporaryDirectory() as folder:
            registry.download(use_case, version, MANIFEST_FILE, Path(folder, MANIFEST_FILE))
            model = model_manifest.read(Path(folder))
    except ModelError as error:
        return str(error)
    if not fits(model, snapshot):
        return "the model was trained on features of another definition"
    return None


def disagreements(settings: PlatformSettings) -> list[str]:
    """What `mlops doctor --data` finds: where DAG files, lake, Hive, online stores and registry do not agree."""
    return [f"{one.subject}: {one.what}" for one in examine_data(settings, dt.datetime.now(dt.UTC))]


QUESTIONS: Mapping[str, Callable[..., Any]] = {one.__name__: one for one in (ids, logged, unfit, disagreements)}


def ask(settings: PlatformSettings, question: Callable[..., Any], *arguments: str) -> Any:
    """The answer to one of the questions above, from where the lake is.

    Raises:
        PlatformError: there is no answer now.
    """
    if settings.mode != "docker":
        return question(settings, *arguments)
    command = ("python", "-m", "stack.chaos.evidence", question.__name__, *arguments)
    try:
        return json.loads(docker(*COMPOSE, "exec", "-T", INSIDE, *command, folder=settings.project_root, seconds=600))
    except (DockerFailed, ValueError) as error:
        raise PlatformError(f"{INSIDE} does not answer ({error})", remedy="see `docker compose ps`") from None


def main(question: str, *arguments: str) -> int:
    """Print the answer as JSON."""
    try:
        answer = QUESTIONS[question](load_settings(), *arguments)
    except PlatformError as error:
        complain(f"error: {error}")
        return 1
    print(json.dumps(answer))  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
