"""The platform as containers: start, stop and reset through Docker Compose, and ``mlops`` inside.

Standard library only, in syntax that Python 3.8 reads: the machine needs nothing but bash, Python and Docker.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any, Iterable, Iterator, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform.console import BEGAN_VARIABLE, complain, say, step
from stack.bare import preflight
from stack.bare.arguments import first_data
from stack.bare.compose_override import watch_folder, write_override
from stack.bare.docker import (
    DockerFailed,
    EngineAway,
    NotInstalled,
    TimedOut,
    compose_version,
    docker,
    engine_version,
    status_of,
)
from stack.bare.env_file import ensure_secrets, ensure_values
from stack.bare.installation import Refused, ports, state_dir, variables, written

# Older ones were not tried.
OLDEST_COMPOSE = (2, 23, 1)
# Measured: 4.5 GiB at rest; a run of the pipeline adds a driver, an executor and the training container.
MEMORY_NEEDED = 6 * preflight.GIB
# Measured: images and what building them leaves in the cache 7 GiB, volumes under 1 GiB.
DISK_NEEDED = 10 * preflight.GIB
# Where tasks run: it has the lake, the code, and every service within reach.
INSIDE = "airflow-scheduler"
RUN_ONCE = {"state", "postgres-roles", "airflow-init"}
WORKER = "spark-worker"
NOT_PUBLISHED = "MLOPS_SPARK_WORKER_UI_PORT"
# All but what creates containers needs only the file that is always there.
COMPOSE = ("compose", "--file", "docker-compose.yml")
PROJECT_VARIABLE = "COMPOSE_PROJECT_NAME"
LABEL = "com.docker.compose.project"
TRAINING_LABEL = "mlops.training-run-of"
SOCKET = Path("/var/run/docker.sock")
UID_FOR_ROOT = 1000
SECRETS = (
    "MLOPS_POSTGRES_PASSWORD",  # the superuser's
    "MLOPS_POSTGRES_AIRFLOW_PASSWORD",
    "MLOPS_POSTGRES_MLFLOW_PASSWORD",
    "MLOPS_POSTGRES_METASTORE_PASSWORD",
    "MLOPS_TRAINING_LAUNCHER_TOKEN",
)
"""What only containers need; the others are made in either mode."""


def obstacles(root: Path, environ: Mapping[str, str]) -> list[preflight.Obstacle]:
    """Everything in the way of a start in containers. What this installation's own hold is not in its way.

    Raises:
        DockerFailed: the engine answers, but does not say how things are.
    """
    try:
        engine_version()
    except (NotInstalled, EngineAway, TimedOut) as error:
        return [preflight.Obstacle(error.what, error.remedy)]
    version = compose_version()
    if version is None:
        return [
            preflight.Obstacle("Docker: its Compose plugin is missing", "install it, or use ./start.sh --mode local")
        ]
    known, information = variables(root, environ), json.loads(docker("info", "--format", "{{json .}}"))
    own_ports = _published_ports(root)
    taken = {name: port for name, port in ports(root, known).items() if name != NOT_PUBLISHED and port not in own_ports}
    found = [
        check_compose(version),
        *(preflight.check_port(name, port, state_dir(root, known)) for name, port in taken.items()),
        *preflight.check_use_cases(root, known),
    ]
    if not is_up(root):
        found.append(preflight.check_memory(_free_memory(information), MEMORY_NEEDED))
    images = Path(information.get("DockerRootDir", "/"))
    if images.exists() and not image_ids(project_name(root, environ)):
        found.append(preflight.check_disk(images, shutil.disk_usage(images).free, DISK_NEEDED))
    return [one for one in found if one is not None]


def check_compose(version: tuple[int, ...]) -> preflight.Obstacle | None:
    """The Compose plugin is new enough."""
    if version >= OLDEST_COMPOSE:
        return None
    needed = ".".join(map(str, OLDEST_COMPOSE))
    return preflight.Obstacle(
        f"Docker Compose: {'.'.join(map(str, version))} is too old, {needed} or newer is needed",
        "update Docker, or use ./start.sh --mode local",
    )


def _free_memory(information: Mapping[str, Any]) -> float | None:
    """Bytes: what is free here, where the engine is this machine's; what it has in all, where it is a virtual one's."""
    total = information.get("MemTotal")
    free = preflight.free_memory()
    return min(value for value in (total, free) if value is not None) if total or free else None


def was_used(root: Path) -> bool:
    """Whether this installation was ever started in containers."""
    return PROJECT_VARIABLE in written(root)


def project_name(root: Path, environ: Mapping[str, str]) -> str:
    """The Compose project of this checkout: two clones on one machine have different ones."""
    given = environ.get(PROJECT_VARIABLE) or written(root).get(PROJECT_VARIABLE)
    name = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-") or "mlops"
    return given or f"{name}-{hashlib.sha256(os.fsencode(str(root))).hexdigest()[:6]}"


def prepare_env_file(root: Path, environ: Mapping[str, str]) -> None:
    """Gives ``.env`` what Compose needs besides the secrets, where it is not there yet."""
    env_file = root / ".env"
    ensure_secrets(env_file)
    uid, gid = services_user(root)
    values = {
        PROJECT_VARIABLE: project_name(root, environ),
        **{name: secrets.token_urlsafe(24) for name in SECRETS},
        "MLOPS_UID": str(uid),
        "MLOPS_GID": str(gid),
        "MLOPS_DOCKER_GID": str(SOCKET.stat().st_gid if sys.platform == "linux" and SOCKET.exists() else 0),
    }
    ensure_values(env_file, values)
    if os.getuid() == 0 and (root / "notebooks").stat().st_uid == 0:
        # Services are nobody's root: the user that Jupyter runs as gets the folder that it writes to.
        for path in [root / "notebooks", *(root / "notebooks").rglob("*")]:
            os.chown(str(path), uid, gid)


def services_user(root: Path) -> tuple[int, int]:
    """The uid and gid that services run as: this user's; for root, the checkout's owner, and never root."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    owner = root.stat()
    return (owner.st_uid, owner.st_gid) if owner.st_uid != 0 else (UID_FOR_ROOT, UID_FOR_ROOT)


def is_up(root: Path) -> bool:
    """Whether any container of this installation runs.

    Raises:
        DockerFailed: nobody can tell.
    """
    return was_used(root) and bool(_containers(_label(root), running=True))


def _published_ports(root: Path) -> set[int]:
    """The ports of this machine that lead to this installation's containers."""
    if not was_used(root):
        return set()
    shown = docker("ps", "--filter", f"label={_label(root)}", "--format", "{{.Ports}}")
    return {int(port) for port in re.findall(r":(\d+)->", shown)}


def is_complete(root: Path, workers: int) -> bool:
    """Whether every service is healthy, and as many workers as are wanted."""
    wanted = set(docker(*COMPOSE, "config", "--services", folder=root).split()) - RUN_ONCE
    answer = docker(*COMPOSE, "ps", "--format", "{{.Service}} {{.Health}}", folder=root)
    healthy = [line.split()[0] for line in answer.splitlines() if line.split()[1:] == ["healthy"]]
    return wanted <= set(healthy) and healthy.count(WORKER) >= workers


def start(root: Path, options: argparse.Namespace, *, restarts: bool = False) -> int:
    """Builds what changed, unless told not to, brings everything up, and ends with a prediction. Its exit status.

    Args:
        restarts: what runs is stopped in between.

    Raises:
        DockerFailed: a step did not succeed.
    """
    prepare_env_file(root, os.environ)
    workers = int(variables(root, os.environ).get("MLOPS_SPARK_WORKERS") or 1)
    if not restarts and not options.data and is_complete(root, workers):
        say("The platform is already running; nothing was changed.")
    else:
        if variables(root, os.environ).get("MLOPS_BUILD_IMAGES") != "false":
            step("Building the images: minutes for the first time, seconds afterwards")
            docker(*COMPOSE, "build", "--quiet", folder=root, shown=True)
        if restarts:
            stop(root)
        _make_watch_folder(root)
        write_override(root, os.environ)
        step("Starting the services")
        docker("compose", "up", "--detach", "--wait", "--no-build", "--remove-orphans", folder=root, shown=True)
        docker("compose", "run", "--detach", "--rm", "--no-deps", "class-archive", folder=root, seconds=None)
    with contextlib.ExitStack() as copies:
        data = [
            (use_case, [file._replace(path=copies.enter_context(_copied_inside(root, file.path))) for file in files])
            for use_case, files in options.data
        ]
        return _inside(
            root, "stack.first_run", *first_data(options.rows, data, options.use_cases), passed=(BEGAN_VARIABLE,)
        )


def _make_watch_folder(root: Path) -> None:
    folder = watch_folder(state_dir(root, variables(root, os.environ)))
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        os.chown(str(folder), *services_user(root))


@contextlib.contextmanager
def _copied_inside(root: Path, file: Path) -> Iterator[Path]:
    """Where a copy of the file is in the container, under its own name; it is removed in the end."""
    folder = Path("/tmp", f"copy-{secrets.token_hex(8)}")  # noqa: S108 - the container's own
    inside = (*COMPOSE, "exec", "-T", INSIDE)
    try:
        with file.open("rb") as content:
            write = ("sh", "-c", 'mkdir "$1" && cat >"$1/$2"', "-", str(folder), file.name)
            docker(*inside, *write, folder=root, stdin=content, seconds=None)
        yield folder / file.name
    finally:
        with contextlib.suppress(DockerFailed):  # the container may be gone
            docker(*inside, "rm", "-rf", str(folder), folder=root)


def _inside(root: Path, module: str, *arguments: str, passed: Iterable[str] = ()) -> int:
    """Runs a module where the lake is; its exit status.

    Args:
        passed: variables of this environment that it is given.
    """
    variables_given = [part for name in passed for part in ("--env", name)]
    return status_of(*COMPOSE, "exec", "-T", *variables_given, INSIDE, "python", "-m", module, *arguments, folder=root)


def mlops(root: Path, arguments: list[str], files: Mapping[str, str]) -> int:
    """Runs ``mlops`` in a container, and says so.

    Args:
        files: what is copied there first: the path of a file of this machine by the argument that ends with it. It is
            the last argument that reads so.

    Raises:
        Refused: there is no such file, or it could not be copied.
    """
    for file in files.values():
        if not Path(file).is_file():
            raise Refused(f"{file}: no such file", remedy="name a file of this machine")
    inside = list(arguments)
    with contextlib.ExitStack() as copies:
        for argument, file in files.items():
            at = len(arguments) - 1 - arguments[::-1].index(argument)
            copy = copies.enter_context(_copied_inside(root, Path(file)))
            inside[at] = f"{argument[: len(argument) - len(file)]}{copy}"
        return _inside_saying_so(root, inside)


def _inside_saying_so(root: Path, arguments: list[str]) -> int:
    complain(f"in the container {INSIDE}, which has the lake:")
    command = (INSIDE, "python", "-m", "cli", *arguments)
    return status_of(*COMPOSE, "exec", "-T", *_called_by(), *command, folder=root)


def _called_by() -> list[str]:
    """The audit log names who calls ``mlops``, not the container's user."""
    try:
        return ["--env", f"LOGNAME={getpass.getuser()}"]
    except (KeyError, OSError):  # a user without a name
        return []


def output_of_mlops(root: Path, arguments: list[str]) -> str:
    """What ``mlops`` prints in a container, whatever its exit status says of what it found.

    Raises:
        DockerFailed: it did not run there, or not to its end.
    """
    command = ["exec", "-T", INSIDE, "sh", "-c", 'python -m cli "$@" || [ $? -eq 1 ]', "mlops", *arguments]
    return docker(*COMPOSE, *command, folder=root, seconds=None)


def stop(root: Path) -> None:
    """Stops every container and keeps them, and their volumes.

    Raises:
        DockerFailed: they still run, or nobody can tell.
    """
    if not is_up(root):
        say("Nothing is running.")
        return
    docker(*COMPOSE, "stop", folder=root, shown=True)
    left = _containers(_label(root), running=True)
    if left:  # the class archive may still be in the making
        docker("stop", *left, seconds=None)
    say("Stopped; all data is kept.")


def _label(root: Path) -> str:
    return f"{LABEL}={project_name(root, os.environ)}"


def _containers(label: str, *, running: bool = False) -> list[str]:
    scope = [] if running else ["--all"]
    return docker("ps", *scope, "--quiet", "--filter", f"label={label}").split()


def image_ids(project: str) -> list[str]:
    """The images that were built for this project."""
    return sorted(set(docker("image", "ls", "--quiet", "--filter", f"label={LABEL}={project}").split()))


def remove(root: Path) -> None:
    """Removes this project's containers, networks, volumes and images, and nothing else.

    Raises:
        DockerFailed: something of them may be left.
    """
    project = project_name(root, os.environ)
    containers = [*_containers(_label(root)), *_containers(f"{TRAINING_LABEL}={project}")]
    if containers:
        docker("rm", "--force", "--volumes", *containers, seconds=None)
    docker(*COMPOSE, "down", "--volumes", "--remove-orphans", folder=root, shown=True)
    # those of an older installation, which the file no longer names
    networks = docker("network", "ls", "--quiet", "--filter", f"label={_label(root)}").split()
    if networks:
        docker("network", "rm", *networks)
    images = image_ids(project)
    if images:
        docker("image", "rm", "--force", *images, seconds=None)
