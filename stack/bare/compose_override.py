"""What only this checkout knows of its containers: where it lies, its commit, its user, its use cases from outside, and
the folder that they share with this machine.

It becomes a second Compose file, which ``.env`` names beside docker-compose.yml: ``docker compose`` by hand reads both.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform.revision import revision
from mlops_platform.search_path import search_path
from stack.bare.env_file import replace, set_value
from stack.bare.installation import state_dir, variables

LAUNCHER = "training-launcher"
USE_CASES_RUN_IN = (
    "airflow-init",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "serving",
    "jupyter",
    "watcher",
    "class-archive",
)
"""The services that import use cases; training runs do as well, and get them from the launcher."""


WATCHED = (
    "hive-metastore",
    "hive-server",
    "spark-master",
    "spark-worker",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "mlflow",
    "serving",
    "jupyter",
)
"""The services that the watcher asks, and tells to end where they are stuck."""
WATCHER = "watcher"


def write_override(root: Path, environ: Mapping[str, str]) -> None:
    """Writes the file, and its name into ``.env``. Done at each start, so a checkout may be moved."""
    known = variables(root, environ)
    run = state_dir(root, known) / "run"
    run.mkdir(parents=True, exist_ok=True)
    configs = {}
    for name, file, text in _users(known["MLOPS_UID"], known["MLOPS_GID"]):
        replace(run / file, text)
        (run / file).chmod(0o644)
        configs[name] = {"file": str(run / file)}
    use_cases = search_path(known.get("MLOPS_USE_CASES", ""), root)
    content = override(root, use_cases, revision(root), watch_folder(state_dir(root, known)))
    path = run / "compose.checkout.json"
    replace(path, json.dumps({**content, "configs": _literal(configs)}, indent=2) + "\n")
    own = root / "docker-compose.override.yml"
    files = [root / "docker-compose.yml", *([own] if own.exists() else []), path]
    set_value(root / ".env", "COMPOSE_FILE", os.pathsep.join(str(file) for file in files))


def watch_folder(state: Path) -> Path:
    """What the watcher shares with this machine and with the services that it watches."""
    return state / "watch"


def override(root: Path, use_cases: tuple[Path, ...], commit: str, watch: Path) -> dict[str, Any]:
    """The file's content: a use case's folder is in the containers where it is on this machine."""
    named = os.pathsep.join(str(folder) for folder in use_cases)
    services: dict[str, Any] = {name: {"volumes": []} for name in sorted({*USE_CASES_RUN_IN, *WATCHED})}
    for name in USE_CASES_RUN_IN:
        services[name]["environment"] = {"MLOPS_USE_CASES": named, "MLOPS_GIT_SHA_AT_START": commit}
        services[name]["volumes"] += [_mount(folder, folder) for folder in use_cases]
    for name in (*WATCHED, WATCHER):
        services[name]["volumes"].append(_mount(watch, Path("/var/lib/mlops/watch"), read_only=name != WATCHER))
    services[LAUNCHER] = {
        "environment": {
            "MLOPS_TRAINING_CHECKOUT": str(root),
            "MLOPS_TRAINING_USE_CASES": named,
            "MLOPS_GIT_SHA_AT_START": commit,
        }
    }
    content: dict[str, Any] = _literal({"services": services})
    return content


def _users(uid: str, gid: str) -> list[tuple[str, str, str]]:
    """The users and the groups of containers: the name of each in docker-compose.yml, its file's name and content."""
    return [
        (
            "users",
            "passwd",
            f"root:x:0:0:root:/root:/usr/sbin/nologin\nmlops:x:{uid}:{gid}:mlops:/var/lib/mlops:/bin/bash\n",
        ),
        ("groups", "group", f"root:x:0:\nmlops:x:{gid}:\n"),
    ]


def _mount(folder: Path, target: Path, *, read_only: bool = True) -> dict[str, Any]:
    # a folder that is missing is an error, and not made by the engine as root
    bind = {"create_host_path": False}
    return {"type": "bind", "source": str(folder), "target": str(target), "read_only": read_only, "bind": bind}


def _literal(value: Any) -> Any:
    """The same, with each ``$`` so that Compose takes it for itself."""
    if isinstance(value, dict):
        return {name: _literal(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
