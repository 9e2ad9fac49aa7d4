"""``.env``: the secrets of one installation, made at its first start and kept."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

_INTRODUCTION = """\
# This installation's secrets, and what you change of its defaults: .env.example lists what there is.
# Kept by ./stop.sh, removed by ./reset.sh.
"""


def _token() -> str:
    return secrets.token_urlsafe(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


GENERATED: dict[str, Callable[[], str]] = {
    "MLOPS_AIRFLOW_ADMIN_PASSWORD": _token,
    "MLOPS_AIRFLOW_FERNET_KEY": _fernet_key,
    "MLOPS_AIRFLOW_JWT_SECRET": lambda: secrets.token_urlsafe(64),
    "MLOPS_AIRFLOW_API_SECRET_KEY": _token,
    "MLOPS_JUPYTER_TOKEN": _token,
    "MLOPS_SERVING_ADMIN_TOKEN": _token,
}


def ensure_secrets(env_file: Path) -> tuple[str, ...]:
    """Adds the secrets that ``env_file`` lacks, readable by its owner only; returns their names.

    Lines that are there stay as they are. The file is replaced in one step: nobody reads half of it.
    """
    text = env_file.read_text(encoding="utf-8") if env_file.exists() else _INTRODUCTION
    present = {line.split("=", 1)[0].strip() for line in text.splitlines() if "=" in line}
    missing = tuple(name for name in GENERATED if name not in present)
    if missing:
        if not text.endswith("\n"):
            text += "\n"
        _replace(env_file, text + "".join(f"{name}={GENERATED[name]()}\n" for name in missing))
    return missing


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
