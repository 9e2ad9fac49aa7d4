"""The platform as containers: start, stop and reset through Docker Compose, and ``mlops`` inside.

Standard library only, in syntax that Python 3.8 reads: the machine needs nothing but bash, Python and Docker.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform.console import say
from stack.bare import preflight
from stack.bare.env_file import ensure_secrets, ensure_values
from stack.bare.installation import Refused, ports, state_dir, variables

# The first that can put a file's text into docker-compose.yml, and it into a container.
OLDEST_COMPOSE = (2, 23, 1)
# Measured: 4.5 GiB at rest; a run of the pipeline adds a driver, an executor and the training container.
MEMORY_NEEDED = 6 * preflight.GIB
# Measured: images and what building them leaves in the cache 7 GiB, volumes under 1 GiB.
DISK_NEEDED = 10 * preflight.GIB
# Where tasks run: it has the lake, the code, and every service within reach.
INSIDE = "airflow-scheduler"
RUN_ONCE = "airflow-init"
WORKER = "spark-worker"
NOT_PUBLISHED = "MLOPS_SPARK_WORKER_UI_PORT"
LABEL = "com.docker.compose.project"
TRAINING_LABEL = "mlops.training-run-of"
SOCKET = Path("/var/run/docker.sock")
UID_FOR_ROOT = 1000


def engine_answers() -> bool:
    """Whether there is a Docker engine with Compose v2."""
    return _output("docker", "version", "--format", "{{.Server.Version}}") != "" and compose_version() is not None


def compose_version() -> tuple[int, ...] | None:
    """The version of the Compose plugin; None where there is none."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", _output("docker", "compose", "version", "--short"))
    return tuple(map(int, found.groups())) if found else None


def findings(root: Path, environ: Mapping[str, str]) -> list[preflight.Finding]:
    """Everything in the way of a start in containers."""
    if not engine_answers():
        return [
            preflight.Finding(
                "Docker: no engine with Compose v2 answers",
                "start Docker (or install it with its Compose plugin), or use ./start.sh --mode local",
            )
        ]
    found = [check_compose(compose_version() or ())]
    information = json.loads(_output("docker", "info", "--format", "{{json .}}") or "{}")
    if not is_up(root):
        known = variables(root, environ)
        taken = {name: port for name, port in ports(root, known).items() if name != NOT_PUBLISHED}
        found += [preflight.check_port(name, port, state_dir(root, known)) for name, port in taken.items()]
        found.append(preflight.check_memory(_free_memory(information), MEMORY_NEEDED))
    images = Path(information.get("DockerRootDir", "/"))
    if images.exists() and not image_ids(project_name(root, environ)):
        found.append(preflight.check_disk(images, shutil.disk_usage(images).free, DISK_NEEDED))
    return [finding for finding in found if finding is not None]


def check_compose(version: tuple[int, ...]) -> preflight.Finding | None:
    """The Compose plugin is new enough."""
    if version >= OLDEST_COMPOSE:
        return None
    needed = ".".join(map(str, OLDEST_COMPOSE))
    return preflight.Finding(
        f"Docker Compose: {'.'.join(map(str, version))} is too old, {needed} or newer is needed",
        "update Docker, or use ./start.sh --mode local",
    )


def _free_memory(information: Mapping[str, Any]) -> float | None:
    """Bytes: what is free here, where the engine is this machine's; what it has in all, where it is a virtual one's."""
    total = information.get("MemTotal")
    free = preflight.free_memory()
    return min(value for value in (total, free) if value is not None) if total or free else None


def project_name(root: Path, environ: Mapping[str, str]) -> str:
    """The Compose project of this checkout: two clones on one machine have different ones."""
    written = environ.get("COMPOSE_PROJECT_NAME") or _written(root).get("COMPOSE_PROJECT_NAME")
    name = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-") or "mlops"
    return written or f"{name}-{hashlib.sha256(os.fsencode(str(root))).hexdigest()[:6]}"


def _written(root: Path) -> dict[str, str]:
    env_file = root / ".env"
    lines = env_file.read_text(encoding="utf-8").splitlines() if env_file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def prepare_env_file(root: Path, environ: Mapping[str, str]) -> None:
    """Gives ``.env`` what Compose needs besides the secrets, where it is not there yet."""
    env_file = root / ".env"
    ensure_secrets(env_file)
    uid, gid = services_user(root)
    values = {
        "COMPOSE_PROJECT_NAME": project_name(root, environ),
        "MLOPS_POSTGRES_PASSWORD": secrets.token_urlsafe(24),
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
    """Whether any container of this installation runs."""
    return (root / ".env").exists() and _output("docker", "compose", "ps", "--quiet", cwd=root) != ""


def is_complete(root: Path, workers: int) -> bool:
    """Whether every service is healthy, and as many workers as are wanted."""
    wanted = set(_output("docker", "compose", "config", "--services", cwd=root).split()) - {RUN_ONCE}
    answer = _output("docker", "compose", "ps", "--format", "{{.Service}} {{.Health}}", cwd=root)
    healthy = [line.split()[0] for line in answer.splitlines() if line.split()[1:] == ["healthy"]]
    return wanted <= set(healthy) and healthy.count(WORKER) >= workers


def start(root: Path, options: argparse.Namespace) -> int:
    """Builds what changed, brings everything up, and ends with a prediction."""
    files = dict(_named_file(given) for given in options.data)
    prepare_env_file(root, os.environ)
    workers = int(variables(root, os.environ).get("MLOPS_SPARK_WORKERS") or 1)
    if is_complete(root, workers) and not files:
        say("The platform is already running; nothing was changed.")
    else:
        say("Building the images: minutes for the first time, seconds afterwards")
        _compose(root, "build", "--quiet")
        say("Starting the services")
        _compose(root, "up", "--detach", "--wait", "--no-build", "--remove-orphans")
        _compose(root, "run", "--detach", "--rm", "--no-deps", "class-archive", quiet=True)
    inside = [f"{use_case}={_copy_inside(root, file)}" for use_case, file in files.items()]
    given = [part for one in inside for part in ("--data", one)]
    return _inside(root, "stack.first_run", "--rows", str(options.rows), *given)


def _named_file(given: str) -> tuple[str, Path]:
    use_case, separator, file = given.partition("=")
    if not separator or not Path(file).is_file():
        raise Refused(f"--data {given}: no such file. Remedy: give it as --data USE_CASE=FILE")
    return use_case, Path(file).resolve()


def _copy_inside(root: Path, file: Path) -> str:
    """Where the file is in the container; it goes with the container."""
    target = f"/tmp/{file.name}"  # noqa: S108 - the container's own
    with file.open("rb") as content:
        command = ["docker", "compose", "exec", "-T", INSIDE, "sh", "-c", 'cat >"$1"', "-", target]
        if subprocess.run(command, cwd=str(root), stdin=content, check=False).returncode != 0:
            raise Refused(f"{file} could not be copied into {INSIDE}. Remedy: see that it runs: docker compose ps")
    return target


def _inside(root: Path, module: str, *arguments: str) -> int:
    command = ["docker", "compose", "exec", "-T", INSIDE, "python", "-m", module, *arguments]
    return subprocess.run(command, cwd=str(root), check=False).returncode


def mlops(root: Path, arguments: list[str], file: Path | None = None) -> int:
    """Runs ``mlops`` in a container. A file of this machine, the last argument, is copied there first.

    Raises:
        Refused: there is no such file, or it could not be copied.
    """
    if file is not None:
        if not file.is_file():
            raise Refused(f"{file}: no such file. Remedy: name a file of this machine")
        arguments = [*arguments[:-1], _copy_inside(root, file)]
    return _inside(root, "cli", *arguments)


def stop(root: Path) -> None:
    """Stops every container and keeps them, and their volumes."""
    if not is_up(root):
        say("Nothing is running.")
        return
    _compose(root, "stop")
    left = _containers(f"{LABEL}={project_name(root, os.environ)}", running=True)
    if left:  # the class archive may still be in the making
        _docker("stop", *left)
    say("Stopped; all data is kept.")


def _containers(label: str, *, running: bool = False) -> list[str]:
    scope = [] if running else ["--all"]
    return _output("docker", "ps", *scope, "--quiet", "--filter", f"label={label}").split()


def image_ids(project: str) -> list[str]:
    """The images that were built for this project."""
    return sorted(set(_output("docker", "image", "ls", "--quiet", "--filter", f"label={LABEL}={project}").split()))


def remove(root: Path) -> None:
    """Removes this project's containers, networks, volumes and images, and nothing else."""
    project = project_name(root, os.environ)
    containers = [*_containers(f"{LABEL}={project}"), *_containers(f"{TRAINING_LABEL}={project}")]
    if containers:
        _docker("rm", "--force", "--volumes", *containers)
    _compose(root, "down", "--volumes", "--remove-orphans")
    images = image_ids(project)
    if images:
        _docker("image", "rm", "--force", *images)


def _compose(root: Path, *arguments: str, quiet: bool = False) -> None:
    done = subprocess.run(
        ["docker", "compose", *arguments],
        cwd=str(root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if quiet else None,
        check=False,
    )
    if done.returncode != 0:
        raise Refused(
            f"docker compose {' '.join(arguments)} failed. Remedy: see above, and `docker compose logs SERVICE` for a "
            "service that did not become healthy"
        )


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Refused(f"docker {' '.join(arguments)} failed. Remedy: see above")


def _output(*command: str, cwd: Path | None = None) -> str:
    """What a command prints, empty where it cannot be run or fails."""
    try:
        done = subprocess.run(
            command, cwd=None if cwd is None else str(cwd), capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
