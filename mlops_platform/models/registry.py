"""What MLflow's model registry knows, over its REST API. A registered model has its use case's name."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import httpx

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings

CHAMPION = "champion"
_TIMEOUT = 30.0


class RegistryError(PlatformError):
    """MLflow cannot be reached, or refuses what it was asked."""


@dataclass(frozen=True)
class ModelVersion:
    """One registered version, the aliases that point at it, and its tags."""

    version: str
    created_at: dt.datetime
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


def versions(settings: PlatformSettings, use_case: str) -> list[ModelVersion]:
    """Every version of the use case's model, the newest first; none before the first training.

    Raises:
        RegistryError: MLflow does not answer.
    """
    model = _ask(settings, "registered-models/get", {"name": use_case})
    if model is None:
        return []
    query = {"filter": f"name = '{use_case}'", "max_results": 1000}
    found = (_ask(settings, "model-versions/search", query) or {}).get("model_versions", [])
    aliases: dict[str, list[str]] = {}
    for entry in _aliases(model):
        aliases.setdefault(str(entry["version"]), []).append(entry["alias"])
    listed = [
        ModelVersion(
            version=str(entry["version"]),
            created_at=dt.datetime.fromtimestamp(int(entry["creation_timestamp"]) / 1000, dt.UTC),
            aliases=tuple(sorted(aliases.get(str(entry["version"]), []))),
            tags={tag["key"]: tag["value"] for tag in entry.get("tags", [])},
        )
        for entry in found
    ]
    return sorted(listed, key=lambda one: int(one.version), reverse=True)


def version_by_alias(settings: PlatformSettings, use_case: str, alias: str = CHAMPION) -> str | None:
    """The version that the alias points at, None if there is no such model or alias.

    Raises:
        RegistryError: MLflow does not answer.
    """
    model = _ask(settings, "registered-models/get", {"name": use_case})
    aliases = {} if model is None else {entry["alias"]: entry["version"] for entry in _aliases(model)}
    return str(aliases[alias]) if alias in aliases else None


def _aliases(model: Any) -> list[Any]:
    found: list[Any] = model["registered_model"].get("aliases", [])
    return found


def _ask(settings: PlatformSettings, path: str, query: dict[str, Any]) -> Any:
    """The answer, None where the registry says that there is no such thing."""
    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            answer = client.get(f"{settings.mlflow_url}/api/2.0/mlflow/{path}", params=query)
        content = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise RegistryError(
            f"MLflow does not answer at {settings.mlflow_url} ({str(error) or type(error).__name__})",
            remedy="see which services run with `mlops status`; start them with ./start.sh",
        ) from None
    if answer.is_success:
        return content
    if content.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
        return None
    raise RegistryError(
        f"MLflow answered {answer.status_code} to {path}: {content.get('message', 'no message')}",
        remedy=f"see {settings.state_dir / 'log' / 'mlflow.log'}",
    )
