"""``.env``: the secrets of one installation, made at its first start and kept."""

from __future__ import annotations

import base64
import os
import secrets
from functools import partial
from pathlib import Path
from typing import Callable, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform import dotenv

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
    "MLOPS_SPARK_AUTH_SECRET": _token,
    "MLOPS_JUPYTER_TOKEN": _token,
    "MLOPS_SERVING_ADMIN_TOKEN": _token,
    "MLOPS_SERVING_READ_TOKEN": _token,
}


def ensure_secrets(env_file: Path) -> tuple[str, ...]:
    """Adds the secrets that ``env_file`` lacks; returns their names."""
    return _add_missing(env_file, GENERATED)


def ensure_values(env_file: Path, values: Mapping[str, str]) -> None:
    """Adds the variables that ``env_file`` lacks."""
    _add_missing(env_file, {name: partial(str, value) for name, value in values.items()})


def set_value(env_file: Path, name: str, value: str) -> None:
    """Makes the variable have this value, in one step: a line that says otherwise gives way to one at the end."""
    if dotenv.read(env_file).get(name) == value:
        return
    text = env_file.read_text(encoding="utf-8") if env_file.exists() else _INTRODUCTION
    kept = [line for line in text.splitlines() if dotenv.name_of(line) != name]
    replace(env_file, "".join(f"{line}\n" for line in [*kept, dotenv.line_of(name, value)]))


def _add_missing(env_file: Path, values: Mapping[str, Callable[[], str]]) -> tuple[str, ...]:
    """Adds what is not there, or empty; the file is readable by its owner only.

    Lines that say something stay as they are. The file is replaced in one step: nobody reads half of it.
    """
    text = env_file.read_text(encoding="utf-8") if env_file.exists() else _INTRODUCTION
    present = dotenv.read(env_file)
    missing = tuple(name for name in values if not present.get(name))
    if missing:
        kept = [line for line in text.splitlines() if dotenv.name_of(line) not in missing]
        added = [dotenv.line_of(name, values[name]()) for name in missing]
        replace(env_file, "".join(f"{line}\n" for line in [*kept, *added]))
    return missing


def replace(path: Path, text: str) -> None:
    """Gives the file this content in one step; it is readable by its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
