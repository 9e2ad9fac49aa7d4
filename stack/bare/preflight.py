"""What stands in the way of a start: every obstacle at once, each with its remedy, before anything is installed.

Standard library only, in syntax that Python 3.8 reads.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping  # noqa: UP035 - Python 3.8

from mlops_platform.search_path import search_path
from mlops_platform.services import java
from stack.bare.installation import MARK, is_running, ports, socket_path, state_dir, variables

GIB = 1024**3
# Measured: 2.5 GiB at rest, 4.0 GiB at the peak of the first start with its pipeline on 100,000 loans.
MEMORY_NEEDED = 4.5 * GIB
# Measured: the environment 3.5 GiB, the state after the first pipeline under 1 GiB.
DISK_NEEDED = 6 * GIB
DISK_NEEDED_WITH_ENVIRONMENT = 2 * GIB
OLDEST_PYTHON = (3, 11)
# A socket's path is a fixed field of the operating system: 104 bytes on a Mac, 108 on Linux, with the closing zero.
LONGEST_SOCKET_PATH = 103


@dataclass(frozen=True)
class Obstacle:
    """One thing in the way of a start."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. Remedy: {self.remedy}"


def obstacles(root: Path, environ: Mapping[str, str], *, restarts: bool = False) -> list[Obstacle]:
    """Everything in the way of a start of the installation in ``root``; empty where it is running already.

    Args:
        restarts: what runs will be stopped before, which gives back the memory and the ports that it holds.
    """
    known = variables(root, environ)
    state = state_dir(root, known)
    runs = is_running(state)
    if runs and not restarts:
        return []
    disk_needed = DISK_NEEDED_WITH_ENVIRONMENT if (root / ".venv").exists() else DISK_NEEDED
    found = [
        check_python(sys.version_info[:3], sys.executable, uv_is_there=shutil.which("uv") is not None),
        check_java(java.machine_javas(environ), can_be_brought=java.runtime_can_be_brought()),
        None if runs else check_memory(free_memory(), MEMORY_NEEDED),
        check_disk(root, shutil.disk_usage(root).free, disk_needed),
        check_path(root, state),
        *(check_port(name, port, state) for name, port in ports(root, known).items()),
        *check_use_cases(root, known),
    ]
    return [one for one in found if one is not None]


def check_python(version: tuple[int, ...], executable: str, *, uv_is_there: bool) -> Obstacle | None:
    """Python is new enough; where uv is there it brings one that is."""
    if version[:2] >= OLDEST_PYTHON or uv_is_there:
        return None
    return Obstacle(
        f"Python: {'.'.join(map(str, version))} ({executable}) is too old, 3.11 or newer is needed",
        "install Python 3.11, 3.12 or 3.13 (or uv, which brings one), or set MLOPS_PYTHON to one",
    )


def check_java(javas: list[tuple[Path, int | None]], *, can_be_brought: bool) -> Obstacle | None:
    """A Java of version 17 or newer is there or can be brought."""
    if can_be_brought or any(major is not None and major >= java.MINIMUM_MAJOR for _, major in javas):
        return None
    have = ", ".join(f"{path} is {major or 'no working Java'}" for path, major in javas) or "none found"
    return Obstacle(
        f"Java: {have}; {java.MINIMUM_MAJOR} or newer is needed, and PyPI has none for this machine",
        "install a Java 17 or 21 and set JAVA_HOME to it",
    )


def check_memory(free: float | None, needed: float) -> Obstacle | None:
    """Enough memory is free. Where it cannot be known nothing is found."""
    if free is None or free >= needed:
        return None
    return Obstacle(
        f"memory: {free / GIB:.1f} GiB are free, the platform needs {needed / GIB:.1f} GiB",
        "close other programs, or give the machine (or its container) more memory",
    )


def check_disk(folder: Path, free: float, needed: float) -> Obstacle | None:
    """Enough disk is free where the project lies."""
    if free >= needed:
        return None
    return Obstacle(
        f"disk: {free / GIB:.1f} GiB are free at {folder}, the platform needs {needed / GIB:.1f} GiB",
        "free some space, or move the project to a larger disk",
    )


def check_path(root: Path, state: Path) -> Obstacle | None:
    """The paths fit what has to hold them: options of a JVM, and a socket's name."""
    for path in (root, state):
        if any(character.isspace() for character in str(path)):
            return Obstacle(f"folder: {path} has a space in its path, which Java's options cannot carry", "move it")
    length = len(os.fsencode(str(socket_path(state))))
    if length <= LONGEST_SOCKET_PATH:
        return None
    return Obstacle(
        f"folder: the path {socket_path(state)} has {length} bytes, a socket's may have {LONGEST_SOCKET_PATH}",
        "move the project to a shorter path",
    )


def check_use_cases(root: Path, known: Mapping[str, str]) -> list[Obstacle]:
    """Each folder that ``MLOPS_USE_CASES`` names is there."""
    return [
        Obstacle(f"use cases: MLOPS_USE_CASES names {folder}, which is no folder", "correct it in .env")
        for folder in search_path(known.get("MLOPS_USE_CASES", ""), root)
        if not folder.is_dir()
    ]


def check_port(name: str, port: int, state: Path) -> Obstacle | None:
    """Nobody listens on a port, unless a leftover of this installation, which the start clears away."""
    if not _is_taken(port):
        return None
    pid = listener(port)
    if pid is not None and _belongs_to(pid, state):
        return None
    service = name[len("MLOPS_") : -len("_PORT")].replace("_", " ").lower()
    by = f" by {_program(pid)} (pid {pid})" if pid is not None else ""
    return Obstacle(
        f"port {port} ({service}) is in use{by}", f"stop what uses it, or set {name} in .env to a free port"
    )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As a server would: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def listener(port: int) -> int | None:
    """The process that listens on a TCP port, where the operating system tells."""
    if Path("/proc/net/tcp").exists():
        return _listener_from_proc(port)
    answer = _output("lsof", "-nP", "-t", f"-iTCP:{port}", "-sTCP:LISTEN")
    return int(answer.split()[0]) if answer.split() else None


def _listener_from_proc(port: int) -> int | None:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(str(descriptor)) in inodes:  # noqa: PTH115 - Path.readlink is newer than Python 3.8
                return int(descriptor.parts[2])
        except OSError:  # another user's process, or one that has ended
            continue
    return None


def _program(pid: int) -> str:
    try:
        found = Path(f"/proc/{pid}/comm").read_text()
    except OSError:  # no Linux
        found = _output("ps", "-o", "comm=", "-p", str(pid))
    return Path(found.strip()).name or "a program"


def _belongs_to(pid: int, state: Path) -> bool:
    mark = f"{MARK}={state}"
    environ = Path(f"/proc/{pid}/environ")
    try:
        if environ.exists():
            return mark in environ.read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return mark in _output("ps", "eww", "-o", "command=", "-p", str(pid)).split()


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def free_memory() -> float | None:
    """Bytes that programs can still have: the machine's, or what a container's limit leaves. None where not known.

    A Mac does not tell what it would free; there it is what is installed.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        installed = _output("sysctl", "-n", "hw.memsize").strip()
        return float(installed) if installed.isdigit() else None
    available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    free = float(available.split()[1]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip().isdigit():
        free = min(free, float(limit.read_text()) - float(used.read_text()))
    return free


def report(found: list[Obstacle]) -> str:
    """The obstacles as the user reads them."""
    if not found:
        return "Nothing stands in the way of a start."
    lines = [f"  {number}. {obstacle}" for number, obstacle in enumerate(found, 1)]
    subject = "1 thing stands" if len(found) == 1 else f"{len(found)} things stand"
    return "\n".join([f"{subject} in the way of a start:", *lines])
