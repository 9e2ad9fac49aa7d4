"""API keys: hashed at rest, several at once so that they can be rotated, with the scope ``read`` or ``admin``.

A key is 256 random bits, so one round of sha256 hides it; slow hashes are for words that people choose.
``python -m serving.manage_keys`` makes and removes them.
"""

import hashlib
import ipaddress
import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlops_platform.errors import PlatformError
from mlops_platform.files import Watched, locked, write_json
from mlops_platform.settings import PlatformSettings

logger = logging.getLogger(__name__)

Scope = Literal["read", "admin"]
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    scope: Scope


class ApiKeys:
    """The keys of an installation. The settings' admin token is an admin key that needs no file.

    The file is looked at when a key is shown, twice a second at most: a key that was removed is soon worthless.
    """

    def __init__(self, settings: PlatformSettings, path: Path) -> None:
        required = settings.serving_require_api_key
        self.required = not is_loopback(settings.bind_address) if required is None else required
        token = settings.serving_admin_token
        self._fixed = {} if token is None else {_digest(token.get_secret_value()): Caller("admin token", "admin")}
        self._callers: Mapping[str, Caller] = self._fixed
        self._file = Watched(path)
        self._look_again_at = 0.0

    def caller(self, key: str | None) -> Caller | None:
        """Whose key this is, None for none of ours. Looked up by digest, so time tells nothing of other keys."""
        if not key:
            return None
        now = time.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + LOOK_SECONDS
            self._take_in()
        return self._callers.get(_digest(key))

    def _take_in(self) -> None:
        """The file's keys, if it changed. A file that cannot be read leaves the keys as they were."""
        try:
            content = self._file.changed()
            if content is not None:
                self._callers = self._fixed | _callers(content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.error("API keys not read", extra={"reason": f"{type(error).__name__}: {error}"})


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def add_key(path: Path, name: str, scope: Scope) -> str:
    """Make a key and keep its digest. Returns the key, which cannot be had again.

    Raises:
        PlatformError: the name is taken.
    """
    key = f"mlops_{secrets.token_urlsafe(32)}"
    with locked(path.with_suffix(".lock")):
        entries = _entries(path)
        if any(entry["name"] == name for entry in entries):
            raise PlatformError(f"there is a key named {name!r}", remedy="choose another name, or remove that one")
        write_json(path, [*entries, {"name": name, "scope": scope, "sha256": _digest(key)}])
    return key


def remove_key(path: Path, name: str) -> None:
    """Raises PlatformError where there is no key of that name."""
    with locked(path.with_suffix(".lock")):
        entries = _entries(path)
        kept = [entry for entry in entries if entry["name"] != name]
        if len(kept) == len(entries):
            known = ", ".join(entry["name"] for entry in entries) or "none"
            raise PlatformError(f"there is no key named {name!r}", remedy=f"the keys are: {known}")
        write_json(path, kept)


def _entries(path: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return entries


def _callers(content: bytes) -> dict[str, Caller]:
    """By digest; none where there is no file."""
    entries = json.loads(content) if content else []
    return {entry["sha256"]: Caller(entry["name"], entry["scope"]) for entry in entries}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
