"""A prepared installation, and a client of the service on it."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from sklearn.pipeline import Pipeline

from cli.main import main
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.api.gate import Service, create_app
from tests.serving.installation import fit, keep_model, publish_snapshot, write_model

ADMIN = {"authorization": "Bearer an admin token"}
"""Shows the admin token of ``settings``."""


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline and the folder that training would leave of it."""

    pipeline: Pipeline
    folder: Path


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def publication(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that stops publishes its log: a process of a second each time, where few tests are about that."""
    monkeypatch.setattr("serving.log.prediction_log.publish_command", lambda settings: ["true"])


@pytest.fixture(scope="session")
def forest(credit_risk: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    pipeline = fit(credit_risk, "random_forest", 1, n_estimators=20, max_depth=6, n_jobs=1)
    folder = tmp_path_factory.mktemp("models") / "forest"
    write_model(folder, credit_risk, pipeline, "random_forest")
    return Trained(pipeline, folder)


@pytest.fixture(scope="session")
def regression(credit_risk: UseCase, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    pipeline = fit(credit_risk, "logistic_regression", 2)
    folder = tmp_path_factory.mktemp("models") / "regression"
    write_model(folder, credit_risk, pipeline, "logistic_regression")
    return Trained(pipeline, folder)


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    """An empty installation whose registry and HiveServer2 are down."""
    return PlatformSettings(
        state_dir=tmp_path / "state",
        mlflow_port=1,
        hiveserver2_port=1,
        serving_admin_token="an admin token",
        serving_log_publish_seconds=60,
    )


@pytest.fixture
def installation(settings: PlatformSettings, credit_risk: UseCase, forest: Trained) -> PlatformSettings:
    """An installation with a snapshot, and a champion that is known from its last good copy."""
    publish_snapshot(settings, credit_risk, "first")
    keep_model(settings, "credit_risk", "1", forest.folder, alias="champion")
    return settings


class Mlops(Protocol):
    def __call__(self, settings: PlatformSettings, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def mlops(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mlops:
    """Runs ``mlops`` in this process, for the service of some settings. Gives its exit code and what it printed."""

    def run(settings: PlatformSettings, *arguments: str) -> tuple[int, str, str]:
        admin, read = settings.serving_admin_token, settings.serving_read_token
        monkeypatch.setenv("MLOPS_MODE", "local")
        monkeypatch.setenv("MLOPS_STATE_DIR", str(settings.state_dir))
        monkeypatch.setenv("MLOPS_SERVING_PORT", str(settings.serving_port))
        monkeypatch.setenv("MLOPS_SERVING_ADMIN_TOKEN", admin.get_secret_value() if admin else "")
        monkeypatch.setenv("MLOPS_SERVING_TLS_CERTIFICATE", str(settings.serving_tls_certificate or ""))
        monkeypatch.setenv("MLOPS_SERVING_READ_TOKEN", read.get_secret_value() if read else "")
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


class Serve(Protocol):
    def __call__(
        self, settings: PlatformSettings, use_cases: tuple[UseCase, ...] | None = None
    ) -> AbstractAsyncContextManager[tuple[httpx.AsyncClient, Service]]: ...


@pytest.fixture
def serve() -> Serve:
    """Runs the service of some settings within ``async with``; gives a client and the service."""

    @asynccontextmanager
    async def serve_settings(
        settings: PlatformSettings, use_cases: tuple[UseCase, ...] | None = None
    ) -> AsyncIterator[tuple[httpx.AsyncClient, Service]]:
        service = create_app(settings, use_cases)
        transport = httpx.ASGITransport(service)
        async with (
            service.running(),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            yield client, service

    return serve_settings
