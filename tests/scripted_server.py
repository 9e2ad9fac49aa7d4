"""A small HTTP server that answers what a test tells it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mlops_platform.settings import PlatformSettings
from tests.processes import free_port


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    body: Any
    authorization: str | None


@dataclass
class ScriptedServer:
    """Answers by method and path. Of several answers to one request each is given once, the last for ever."""

    port: int = 0
    answers: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        """Let this request be answered by these bodies; a tuple (status, body) brings its own status."""
        self.answers[method, path] = [given if isinstance(given, tuple) else (status, given) for given in answers]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        found = self.answers.get((asked.method, asked.path))
        if not found:
            return 404, {"detail": f"nothing at {asked.path}"}
        return found.pop(0) if len(found) > 1 else found[0]

    def requests(self, method: str, path: str) -> list[Asked]:
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            asked = Asked(self.command, url.path, url.query, body, self.headers.get("Authorization"))
            status, content = script.answer(asked)
            payload = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _reply

        def log_message(self, *_: object) -> None:
            return

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.port = listening.server_address[1]
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield script
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture
def settings(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformSettings:
    """Settings whose HTTP services are all the scripted server."""
    for name in ("AIRFLOW", "SERVING", "MLFLOW"):
        monkeypatch.setenv(f"MLOPS_{name}_PORT", str(server.port))
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("MLOPS_AIRFLOW_ADMIN_PASSWORD", "secret")
    return PlatformSettings(_env_file=None)


@pytest.fixture
def unused_port() -> int:
    """A port of this machine that nobody listens on."""
    return free_port()
