"""A small snapshot of credit risk with a plain signal, and a real MLflow server."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mlops_platform.use_case import UseCase
from tests.training.small_snapshots import credit_risk_rows, write_parquet
from training.registry import Registry

MLFLOW_DEADLINE = 120.0


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory, credit_risk: UseCase) -> Path:
    """A folder of parquet with a signal that both families find."""
    return write_parquet(tmp_path_factory.mktemp("lake") / "snapshot=first", credit_risk_rows(credit_risk))


@pytest.fixture(scope="session")
def random_snapshot(tmp_path_factory: pytest.TempPathFactory, credit_risk: UseCase) -> Path:
    """The same with labels that no feature tells anything of."""
    rows = credit_risk_rows(credit_risk, random_labels=True)
    return write_parquet(tmp_path_factory.mktemp("lake") / "snapshot=random", rows)


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, started as the platform does: SQLite, and artifacts through the server."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_healthy(url, server, folder / "log")
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + MLFLOW_DEADLINE
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", trust_env=False).is_success:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.1)
            break
    pytest.fail(f"MLflow does not start: {log.read_text()}")


@pytest.fixture
def registry(mlflow_url: str) -> Registry:
    return Registry(mlflow_url)
