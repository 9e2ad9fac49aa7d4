"""A real MLflow server in a process of its own."""

import sys
from collections.abc import Iterator

import httpx
import pytest

from mlops_platform.models.registry import ModelRegistry
from tests.processes import answers, free_port, running

STARTS_WITHIN = 120


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server started as the platform starts its own: SQLite, and artifacts through the server."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts", "--host", "127.0.0.1", "--workers", "1"]
    environment = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with running(
        [*command, "--port", str(port)],
        lambda: answers(f"{url}/health"),
        folder=folder,
        environment=environment,
        seconds=STARTS_WITHIN,
    ):
        yield url


@pytest.fixture(scope="module")
def mlflow_url(mlflow_server: str) -> str:
    """The server's URL; no model is registered there before the module's first test."""
    with ModelRegistry(mlflow_server) as registry:
        for name in registry.aliases():
            delete_model(mlflow_server, name)
    return mlflow_server


def delete_model(url: str, name: str) -> None:
    """Remove a registered model with its versions, if there is one; the next of this name begins with version 1."""
    httpx.request(
        "DELETE", f"{url}/api/2.0/mlflow/registered-models/delete", json={"name": name}, timeout=60, trust_env=False
    )
