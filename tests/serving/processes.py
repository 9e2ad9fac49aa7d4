"""The prediction service in processes of its own, and what training does with the registry that it follows."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from mlops_platform.clients.prediction_service import connect
from mlops_platform.models.manifest import manifest_sha256, read
from mlops_platform.models.registry import FAMILY_TAG, MANIFEST_TAG, SPEC_HASH_TAG, VERDICT_TAG
from mlops_platform.models.verdict import Decision
from mlops_platform.settings import PROJECT_ROOT, PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.mlflow_server import delete_model
from tests.processes import free_port, running
from tests.serving.installation import keep_model, publish_snapshot


@contextlib.contextmanager
def service_process(settings: PlatformSettings) -> Iterator["subprocess.Popen[bytes]"]:
    """``python -m serving`` with these settings, every worker of it ready."""
    variables = {
        f"MLOPS_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name in settings.model_fields_set
        if (value := getattr(settings, name)) is not None
    }
    seen: set[str] = set()

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            with connect(settings, timeout=5) as client:
                answer = client.get("/readyz")
            if answer.status_code == 200:
                seen.add(worker_of(answer))
        return len(seen) == settings.serving_workers

    with running(
        [sys.executable, "-m", "serving"],
        ready,
        folder=settings.state_dir,
        environment={**variables, "PYTHONPATH": str(PROJECT_ROOT)},
    ) as process:
        yield process


def worker_of(answer: httpx.Response) -> str:
    """The worker that gave an answer: the first part of a request id names it."""
    return answer.headers["x-request-id"][:16]


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
    """A running MLflow server, and what training does with it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(timeout=60, trust_env=False)

    def register(self, use_case: str, model: Path, verdict: Decision = Decision.ACCEPTED) -> str:
        """Upload a model folder and register it as the next version. Returns the version."""
        self._client.post(f"{self.url}/api/2.0/mlflow/registered-models/create", json={"name": use_case})
        manifest = read(model)
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
                "tags": [
                    {"key": MANIFEST_TAG, "value": manifest_sha256(model)},
                    {"key": VERDICT_TAG, "value": verdict},
                    {"key": FAMILY_TAG, "value": manifest.family},
                    {"key": SPEC_HASH_TAG, "value": manifest.spec_hash},
                ],
            },
        )
        return str(version["model_version"]["version"])

    def point(self, use_case: str, alias: str, version: str) -> None:
        self._call("registered-models/alias", {"name": use_case, "alias": alias, "version": version})

    def clear(self, use_case: str) -> None:
        delete_model(self.url, use_case)

    def _call(self, path: str, content: dict[str, object]) -> dict[str, dict[str, Any]]:
        answer = self._client.post(f"{self.url}/api/2.0/mlflow/{path}", json=content)
        answer.raise_for_status()
        found: dict[str, dict[str, Any]] = answer.json()
        return found
