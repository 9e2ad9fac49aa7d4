"""The Docker client of this machine: one function runs it, and tells apart why a command gave nothing.

Standard library only, in syntax that Python 3.8 reads: the machine needs nothing but bash, Python and Docker.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import IO

from stack.bare.installation import Refused

SECONDS = 60.0
"""How long a question to the engine may take."""

ENGINE_VERSION = ("version", "--format", "{{.Server.Version}}")
_LOCAL_MODE = "or use ./start.sh --mode local"


class DockerFailed(Refused):
    """A Docker command did not do what it was asked for."""


class NotInstalled(DockerFailed):
    """There is no Docker client on this machine."""


class EngineAway(DockerFailed):
    """The client is there, and no engine answers it."""


class CommandFailed(DockerFailed):
    """The engine answers, and this command failed."""


class TimedOut(DockerFailed):
    """No answer in time."""


def docker(
    *arguments: str,
    folder: Path | None = None,
    shown: bool = False,
    stdin: IO[bytes] | None = None,
    seconds: float | None = SECONDS,
) -> str:
    """What ``docker ARGUMENTS`` prints, without the white space around it.

    Args:
        folder: where it is run.
        shown: its output goes to the user as it comes and nothing is returned; it takes the time it needs.
        seconds: how long to wait for it; None for what takes the time it needs.

    Raises:
        NotInstalled, EngineAway, CommandFailed, TimedOut: with what Docker said.
    """
    output = None if shown else subprocess.PIPE
    done = _run(arguments, folder, stdin, output, None if shown else seconds)
    if done.returncode == 0:
        return _text(done.stdout)
    asked = _run(ENGINE_VERSION, None, None, subprocess.PIPE, SECONDS)
    if asked.returncode != 0:
        said = _text(asked.stderr) or "it says nothing"
        raise EngineAway(f"Docker: no engine answers ({said})", remedy=f"start Docker, {_LOCAL_MODE}")
    said = "see above" if shown else _text(done.stderr) or "it says nothing"
    raise CommandFailed(
        f"docker {' '.join(arguments)} failed with status {done.returncode}: {said}",
        remedy="mend what it names; `docker compose logs SERVICE` shows why a service did not become healthy",
    )


def status_of(*arguments: str, folder: Path) -> int:
    """Runs ``docker ARGUMENTS`` on this terminal; the exit status, which is that of a command inside a container.

    Raises:
        NotInstalled: there is no Docker client.
    """
    try:
        return subprocess.run(["docker", *arguments], cwd=str(folder), check=False).returncode
    except OSError as error:
        raise _not_installed(error) from None


def engine_version() -> str:
    """The engine's version.

    Raises:
        NotInstalled, EngineAway, TimedOut: no engine can be used.
    """
    return docker(*ENGINE_VERSION)


def compose_version() -> tuple[int, ...] | None:
    """The version of the Compose plugin; None where there is none."""
    try:
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", docker("compose", "version", "--short"))
    except CommandFailed:
        return None
    return tuple(map(int, found.groups())) if found else None


def _run(
    arguments: tuple[str, ...],
    folder: Path | None,
    stdin: IO[bytes] | None,
    output: int | None,
    seconds: float | None,
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["docker", *arguments],
            cwd=None if folder is None else str(folder),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"docker {' '.join(arguments)} gave no answer within {seconds:.0f} s",
            remedy=f"restart Docker, {_LOCAL_MODE}",
        ) from None
    except OSError as error:
        raise _not_installed(error) from None


def _text(output: bytes | None) -> str:
    return (output or b"").decode(errors="replace").strip()


def _not_installed(error: OSError) -> NotInstalled:
    return NotInstalled(
        f"Docker: its client cannot be run ({error.strerror or error})",
        remedy=f"install Docker with its Compose plugin, {_LOCAL_MODE}",
    )
