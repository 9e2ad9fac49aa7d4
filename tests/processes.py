"""Real servers in processes of their own: their ports, their start and end, and waiting for what they do."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

PATIENCE_SECONDS = 300
ENDS_WITHIN = 30


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def free_port() -> int:
    (port,) = free_ports(1)
    return port


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """The first truthy answer of the condition."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
    return found


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], bool],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float = PATIENCE_SECONDS,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that is ready, in a process group of its own; asked to end in the end, and gone with its children.

    ``environment`` is added to this process's own.
    """
    name = shlex.join(command)
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, start_new_session=True)

    def usable() -> bool:
        assert process.poll() is None, f"{name} ended with {process.returncode}"
        return ready()

    try:
        wait_until(usable, f"{name} is ready", seconds)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=ENDS_WITHIN)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
