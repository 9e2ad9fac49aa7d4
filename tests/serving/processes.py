"""Real servers in processes of their own: the prediction service, and MLflow's registry."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from mlops_platform.model_manifest import manifest_sha256
from mlops_platform.settings import PROJECT_ROOT, PlatformSettings
from mlops_platform.use_case import UseCase
from tests.serving.installation import keep_model, publish_snapshot

PATIENCE_SECONDS = 300


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
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
def service_process(settings: PlatformSettings) -> Iterator["subprocess.Popen[bytes]"]:
    """``python -m serving`` with these settings, in a process group of its own; ready, and stopped in the end."""
    variables = {
        f"MLOPS_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "serving"],
        env={**os.environ, **variables, "PYTHONPATH": str(PROJECT_ROOT)},
        cwd=settings.state_dir,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"{settings.serving_url}/readyz"), "the service is ready")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def service_of(
    state_dir: Path, use_case: UseCase, champion: Path, challenger: Path | None = None, **changes: Any
) -> Iterator[PlatformSettings]:
    """A running service with a snapshot and known models, whose registry and HiveServer2 are down; its settings."""
    settings = PlatformSettings(
        state_dir=state_dir, serving_port=free_port(), mlflow_port=1, hiveserver2_port=1, **changes
    )
    publish_snapshot(settings, use_case, "first")
    keep_model(settings, use_case.name, "1", champion, alias="champion")
    if challenger is not None:
        keep_model(settings, use_case.name, "2", challenger, alias="challenger")
    with service_process(settings):
        yield settings


class Registry:
    """A real MLflow server, and what training does with it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(timeout=60, trust_env=False)

    def register(self, use_case: str, model: Path) -> str:
        """Upload a model folder and register it as the next version. Returns the version."""
        self._client.post(f"{self.url}/api/2.0/mlflow/registered-models/create", json={"name": use_case})
        run = self._call("runs/create", {"experiment_id": "0"})["run"]["info"]
        place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for path in model.rglob("*"):
            if path.is_file():
                target = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{place}/model/{path.relative_to(model)}"
                self._client.put(target, content=path.read_bytes()).raise_for_status()
        version = self._call(
            "model-versions/create",
            {
                "name": use_case,
                "run_id": run["run_id"],
                "source": f"{run['artifact_uri']}/model",
                "tags": [{"key": "manifest_sha256", "value": manifest_sha256(model)}],
            },
        )
        return str(version["model_version"]["version"])

    def point(self, use_case: str, alias: str, version: str) -> None:
        self._call("registered-models/alias", {"name": use_case, "alias": alias, "version": version})

    def clear(self, use_case: str) -> None:
        self._client.request("DELETE", f"{self.url}/api/2.0/mlflow/registered-models/delete", json={"name": use_case})

    def _call(self, path: str, content: dict[str, object]) -> dict[str, dict[str, str]]:
        answer = self._client.post(f"{self.url}/api/2.0/mlflow/{path}", json=content)
        answer.raise_for_status()
        found: dict[str, dict[str, dict[str, str]]] = answer.json()
        return found  # type: ignore[return-value]


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[Registry]:
    """MLflow's server on a database and artifacts in this folder."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--host", "127.0.0.1", "--workers", "1"]
    process = subprocess.Popen(
        [
            *(*command, "--port", str(port), "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "MLflow answers")
        yield Registry(f"http://127.0.0.1:{port}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
