"""A real MLflow server in a process of its own."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.processes import answers, free_port, running

STARTS_WITHIN = 120


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The URL of a server started as the platform starts its own: SQLite, and artifacts through the server."""
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
