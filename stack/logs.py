"""The logs of services: files of this machine in the local mode, Docker's of each container else."""

import contextlib
import os
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from mlops_platform.errors import PlatformError
from mlops_platform.services.table import services
from mlops_platform.settings import PlatformSettings
from stack.bare.compose import COMPOSE
from stack.bare.docker import docker

SUPERVISOR = "supervisord"
"""What its log is called, and what stands for it where it is looked at like a service."""
_LOOK_AGAIN_SECONDS = 0.3


class UnknownService(PlatformError):
    """A service was named that this installation does not have."""

    missing = True


def log_file(settings: PlatformSettings, service: str) -> Path:
    """Where a supervised process writes what it says."""
    return settings.state_dir / "log" / f"{service}.log"


def log_names(settings: PlatformSettings) -> tuple[str, ...]:
    """The services that have a log, in the order of their start.

    Raises:
        DockerFailed: nobody can tell which containers there are.
    """
    if settings.mode == "docker":
        return tuple(docker(*COMPOSE, "config", "--services", folder=settings.project_root).split())
    return (*(service.name for service in services(settings)), SUPERVISOR)


def log_lines(settings: PlatformSettings, service: str, *, last: int, follow: bool) -> Iterator[str]:
    """The last lines of a service's log, the oldest first; with ``follow`` also what comes, for ever.

    Raises:
        UnknownService: there is no such service; names those that there are.
        PlatformError: it has no log yet, or Docker does not give it.
    """
    known = log_names(settings)
    if service not in known:
        raise UnknownService(f"there is no service {service!r}", remedy=f"the services are {', '.join(known)}")
    if settings.mode == "docker":
        return _of_container(settings.project_root, service, last=last, follow=follow)
    path = log_file(settings, service)
    if not path.exists():
        raise PlatformError(f"{service} has no log yet: {path} does not exist", remedy="start it with ./start.sh")
    return _followed(path, last) if follow else iter(last_lines(path, last))


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, the oldest first."""
    with _open(path) as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def _followed(path: Path, last: int) -> Iterator[str]:
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(_open(path))
        yield from (line.rstrip("\n") for line in deque(file, maxlen=last))
        begun = ""
        while True:
            begun += file.readline()
            if begun.endswith("\n"):
                yield begun.rstrip("\n")
                begun = ""
            elif _is_another(path, file):  # supervisord has put it aside and begun a new one
                yield from (line.rstrip("\n") for line in file)
                opened.close()
                file, begun = opened.enter_context(_open(path)), ""
            else:
                time.sleep(_LOOK_AGAIN_SECONDS)


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors="replace")


def _is_another(path: Path, file: TextIO) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:  # it is being put aside just now
        return False


def _of_container(root: Path, service: str, *, last: int, follow: bool) -> Iterator[str]:
    options = ["--no-log-prefix", "--no-color", "--tail", str(last), *(["--follow"] if follow else [])]
    command = ["docker", *COMPOSE, "logs", *options, service]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, errors="replace") as shown:
        assert shown.stdout is not None  # noqa: S101 - it is a pipe
        try:
            yield from (line.rstrip("\n") for line in shown.stdout)
            shown.wait()
        finally:
            shown.terminate()  # where nobody reads on, it would wait for the next line
    if shown.returncode != 0:
        raise PlatformError(
            f"Docker gives no log of {service} (exit code {shown.returncode})", remedy="see its message above"
        )
