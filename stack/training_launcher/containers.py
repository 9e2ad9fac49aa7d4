"""Training runs as containers of the engine: one for each run, which is all that is known of it."""

import datetime as dt
import os
import re
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import LogConfig, Mount

from mlops_platform.clients.training_launcher import LogLine, TrainingState
from mlops_platform.console import say
from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots, snapshot_id
from mlops_platform.pipelines.training_run import OPT_ML, JobFolders, keep_results, lay_out, run_key
from mlops_platform.search_path import search_path
from stack.bare.compose import TRAINING_LABEL

PROJECT = "/opt/mlops"
CODE = ("mlops_platform", "training", "use_cases")
"""The folders of the checkout that a training run imports."""
RUN_LABEL = "mlops.training-run"
SNAPSHOT_LABEL = "mlops.training-snapshot"

LONGEST_RUN = dt.timedelta(hours=3)
"""The DAG gives a run up before; whatever still runs then, nobody follows."""
UNFETCHED = dt.timedelta(hours=1)
"""How long a run that has ended waits for somebody to ask."""
UNSTARTED = dt.timedelta(minutes=10)
"""How long a container may be in the making."""

_STAMPED = re.compile(r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?)Z (?P<text>.*)")
"""A line of a log as the engine gives it."""


class RunUnknown(PlatformError):
    """There is no container of this run."""


class RunBusy(PlatformError):
    """The run is under way with something else."""


class ImageMissing(PlatformError):
    """The image that runs are made of is not there."""


@dataclass(frozen=True)
class Launch:
    """What every training run's container is made of."""

    image: str
    network: str
    user: str
    project: str
    memory: int
    """Bytes."""
    mlflow_url: str
    checkout: Path
    use_cases: tuple[Path, ...]
    git_sha: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Launch":
        return cls(
            image=environ["MLOPS_TRAINING_IMAGE"],
            network=environ["MLOPS_TRAINING_NETWORK"],
            user=environ["MLOPS_TRAINING_USER"],
            project=environ["MLOPS_TRAINING_PROJECT"],
            memory=int(environ["MLOPS_TRAINING_MEMORY_MB"]) * 1024**2,
            mlflow_url=environ["MLOPS_TRAINING_MLFLOW_URL"],
            checkout=Path(environ["MLOPS_TRAINING_CHECKOUT"]),
            use_cases=search_path(environ["MLOPS_TRAINING_USE_CASES"], Path("/")),
            git_sha=environ["MLOPS_GIT_SHA_AT_START"],
        )

    def container(self) -> dict[str, Any]:
        """The arguments of ``docker.containers.create`` that are the same for every run."""
        return {
            "image": self.image,
            "command": ["train"],
            "environment": {
                "MLFLOW_TRACKING_URI": self.mlflow_url,
                "MLOPS_USE_CASES": os.pathsep.join(map(str, self.use_cases)),
                "HOME": "/tmp",  # noqa: S108 - the container's own
            },
            "user": self.user,
            "network": self.network,
            # a volume of its own, which goes with the container: the engine copies nothing into a read-only root
            "mounts": [*self._code(), Mount(str(OPT_ML.prefix), None)],
            "read_only": True,
            "tmpfs": {"/tmp": "exec"},  # noqa: S108 - the container's own
            "mem_limit": self.memory,
            "pids_limit": 512,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "init": True,
            "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        }

    def _code(self) -> list[Mount]:
        """The checkout's code over the image's, and each other folder of use cases where it is on the engine's machine.

        Nobody but the checkout's owner can put a link in their place: containers may only read them.
        """
        own = [(self.checkout / folder, f"{PROJECT}/{folder}") for folder in CODE]
        folders = [*own, *((folder, str(folder)) for folder in self.use_cases)]
        return [Mount(target, str(source), type="bind", read_only=True) for source, target in folders]


class TrainingContainers:
    """The training runs of one installation. Safe to use from several threads; there is one such process.

    Raises:
        APIError: from every method, where the engine refuses.
        OSError: from every method, where the engine does not answer, or the lake's storage fails.
    """

    def __init__(self, engine: DockerClient, launch: Launch, lake: Lake) -> None:
        self._engine = engine
        self._launch = launch
        self._lake = lake
        self._changing = threading.Lock()

    def ping(self) -> None:
        """Ask the engine for a sign of life."""
        self._engine.ping()

    def start(self, use_case: str, run_id: str, snapshot: str) -> None:
        """Start the run, unless it is under way or has ended well. One that failed is started anew.

        Raises:
            RunBusy: it is under way on another snapshot.
            SnapshotError: there is no such snapshot.
            ImageMissing: the platform's images have not been built.
        """
        with self._changing:
            found = self._find(use_case, run_id)
            if found is not None:
                before = found.labels[SNAPSHOT_LABEL]
                if before == snapshot and (_runs(found) or _has_ended_well(found)):
                    return
                if _runs(found):
                    raise RunBusy(
                        f"{run_id} of {use_case} is under way on the snapshot {before}",
                        remedy="wait for its end, or remove it",
                    )
                _remove(found)
            self._create_and_start(use_case, run_id, snapshot)
        say(f"started {run_id} of {use_case} on {snapshot}")

    def state(self, use_case: str, run_id: str, after: str | None) -> TrainingState:
        """How the run is. Where it has ended with 0, its results are in the lake when this returns.

        Args:
            after: the time of the last line that is known; None for all lines.

        Raises:
            RunUnknown: there is no such run: it was never started, or was removed.
            LakeError: what it made cannot be kept.
        """
        container = self._find(use_case, run_id)
        if container is None or not (_runs(container) or _has_ended(container)):
            raise RunUnknown(f"there is no training run {run_id} of {use_case}", remedy="start it")
        # in this order: what is printed after it was seen to run is asked for the next time
        exit_code = int(container.attrs["State"]["ExitCode"]) if _has_ended(container) else None
        lines = tuple(_lines(container, after))
        if exit_code == 0:
            with self._changing:
                self._collect(container, run_key(use_case, run_id))
        return TrainingState(exit_code=exit_code, lines=lines)

    def remove(self, use_case: str, run_id: str) -> None:
        """End the run, if it is under way, and forget it; what is not there is no error."""
        with self._changing:
            container = self._find(use_case, run_id)
            if container is not None:
                _remove(container)

    def sweep(self, now: dt.datetime) -> None:
        """Remove the containers that nobody will ask for any more."""
        label = f"{TRAINING_LABEL}={self._launch.project}"
        for container in self._engine.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            with self._changing:
                if _is_left_behind(container, now):
                    say(f"removed {container.name}, which nobody asked for any more")
                    _remove(container)

    def _create_and_start(self, use_case: str, run_id: str, snapshot: str) -> None:
        manifest = Snapshots(self._lake, use_case).get(snapshot)
        labels = {TRAINING_LABEL: self._launch.project, RUN_LABEL: run_id, SNAPSHOT_LABEL: snapshot}
        with self._lake.scratch() as folder:
            lay_out(self._lake, manifest, run_id, self._launch.git_sha, JobFolders(folder / "job"))
            archive = folder / "job.tar"
            with tarfile.open(archive, "w") as tar:
                tar.add(folder / "job" / "input", "input", filter=_for_anybody_to_read)
            try:
                container = self._engine.containers.create(
                    name=self._name(use_case, run_id), labels=labels, **self._launch.container()
                )
            except ImageNotFound:
                raise ImageMissing(
                    f"the image {self._launch.image} is not there", remedy="run ./start.sh, which builds it"
                ) from None
            with archive.open("rb") as content:
                container.put_archive(str(OPT_ML.prefix), content)
        container.start()

    def _collect(self, container: Any, run: str) -> None:
        """Take what the run made into the lake."""
        with self._lake.scratch() as folder:
            archive, candidates = folder / "results.tar", folder / "results"
            content, _ = container.get_archive(str(OPT_ML.candidates))
            with archive.open("wb") as file:
                file.writelines(content)
            _extract(archive, candidates)
            keep_results(self._lake, candidates / OPT_ML.candidates.name, run)

    def _find(self, use_case: str, run_id: str) -> Any:
        """The run's container, None where there is none.

        Raises:
            RunBusy: its name is taken by another container.
        """
        name = self._name(use_case, run_id)
        try:
            container = self._engine.containers.get(name)
        except NotFound:
            return None
        labels = {TRAINING_LABEL: self._launch.project, RUN_LABEL: run_id}
        if not labels.items() <= container.labels.items():
            raise RunBusy(f"the container {name} is not that of {run_id}", remedy=f"docker rm --force {name}")
        return container

    def _name(self, use_case: str, run_id: str) -> str:
        return f"{self._launch.project}-training-{use_case}-{snapshot_id(run_id)}"


def _runs(container: Any) -> bool:
    return container.status in ("running", "paused", "restarting")


def _has_ended(container: Any) -> bool:
    return container.status in ("exited", "dead")


def _has_ended_well(container: Any) -> bool:
    return _has_ended(container) and container.attrs["State"]["ExitCode"] == 0


def _remove(container: Any) -> None:
    try:
        container.remove(v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # noqa: PLR2004 - it is being removed already
            raise


def _is_left_behind(container: Any, now: dt.datetime) -> bool:
    state = container.attrs["State"]
    if _has_ended(container):
        return now - _moment(state["FinishedAt"]) > UNFETCHED
    if _runs(container):
        return now - _moment(state["StartedAt"]) > LONGEST_RUN
    return now - _moment(container.attrs["Created"]) > UNSTARTED


def _moment(written: str) -> dt.datetime:
    """A time as the engine writes it: with nanoseconds, or without a fraction."""
    return dt.datetime.fromisoformat(f"{written[:19]}+00:00")


def _lines(container: Any, after: str | None) -> list[LogLine]:
    """What was printed after this moment, or all of it."""
    since = {} if after is None else {"since": int(_moment(after).timestamp())}  # the engine counts in seconds here
    content: bytes = container.logs(timestamps=True, **since)
    stamped = map(_STAMPED.match, content.decode(errors="replace").split("\n"))
    lines = [LogLine(at=line["at"], text=line["text"]) for line in stamped if line]
    return [line for line in lines if after is None or line.at > after]


def _for_anybody_to_read(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Root's, so that the run cannot change it; None for what is neither a file nor a folder."""
    if not (member.isfile() or member.isdir()):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _extract(archive: Path, folder: Path) -> None:
    """The regular files of an archive that somebody else made, below the folder and nowhere else.

    Raises:
        PlatformError: a file's name leads out of the folder.
    """
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                continue
            parts = Path(member.name).parts
            if Path(member.name).is_absolute() or ".." in parts:
                raise PlatformError(f"a training run left a file named {member.name!r}", remedy="see what it writes")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                while chunk := content.read(1 << 20):
                    file.write(chunk)
