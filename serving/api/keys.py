"""API keys: hashed at rest, several at once so that they can be rotated, with the scope ``read`` or ``admin``.

A key is 256 random bits, so one round of sha256 hides it; slow hashes are for words that people choose.
``mlops keys`` makes and removes them, by the routes below ``/admin/keys``.
"""

import asyncio
import hashlib
import ipaddress
import json
import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from mlops_platform.errors import PlatformError
from mlops_platform.files import Watched, locked, write_json
from mlops_platform.settings import PlatformSettings
from serving.follow.task import FollowingTask

logger = logging.getLogger(__name__)

Scope = Literal["read", "admin"]
KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")]
"""No name of what the settings bring has this form, so that nobody passes for it in the audit log."""

LOOK_SECONDS = 0.5


class KeysUnreadable(PlatformError):
    """The file of the keys is there and is none."""


@dataclass(frozen=True)
class Caller:
    """Who asks, and what they may do."""

    name: str
    scope: Scope


class ApiKeys:
    """The keys of an installation. The settings' tokens are keys that need no file.

    The file is looked at twice a second, by a thread that does nothing else: a key that was removed is soon worthless,
    whatever the service is busy with.
    """

    def __init__(self, settings: PlatformSettings, path: Path) -> None:
        required = settings.serving_require_api_key
        self.required = not is_loopback(settings.bind_address) if required is None else required
        self._fixed = {
            _digest(token.get_secret_value()): caller
            for token, caller in (
                (settings.serving_read_token, Caller("read token", "read")),
                (settings.serving_admin_token, Caller("admin token", "admin")),
            )
            if token
        }
        self._callers: Mapping[str, Caller] = self._fixed
        self._file = Watched(path)
        self._content = b""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="api-keys")
        self._unreadable: str | None = None
        self.following = FollowingTask("API keys", self.follow, LOOK_SECONDS)
        self.take_in()

    def caller(self, key: bytes) -> Caller | None:
        """Whose key this is, None for none of ours. Looked up by digest, so time tells nothing of other keys."""
        return self._callers.get(hashlib.sha256(key).hexdigest())

    @property
    def failure(self) -> str | None:
        """Why the file's keys are not known as they are now; None where they are."""
        return self._unreadable or self.following.failure

    @property
    def of_file(self) -> list[Caller]:
        """Those whose keys can be removed, in the order in which they were made."""
        return [caller for digest, caller in self._callers.items() if digest not in self._fixed]

    async def follow(self) -> None:
        """:meth:`take_in`, away from the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.take_in)

    def take_in(self) -> None:
        """The file's keys, if it changed. A file that cannot be read leaves the keys as they were."""
        try:
            content = self._file.changed()
            self._content = self._content if content is None else content
            self._callers = self._fixed | _callers(self._content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            failure = f"{type(error).__name__}: {error}"
            if failure != self._unreadable:
                logger.error("API keys not read", extra={"reason": failure})
            self._unreadable = failure
        else:
            self._unreadable = None


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def add_key(path: Path, name: str, scope: Scope) -> str:
    """Make a key and keep its digest. Returns the key, which cannot be had again.

    Raises:
        KeysUnreadable: the file is none of keys.
        PlatformError: the name is taken.
        OSError: it cannot be written.
    """
    key = f"mlops_{secrets.token_urlsafe(32)}"
    with locked(path.with_suffix(".lock")):
        entries = _entries(path)
        if any(entry["name"] == name for entry in entries):
            raise PlatformError(f"there is a key named {name!r}", remedy="choose another name, or remove that one")
        write_json(path, [*entries, {"name": name, "scope": scope, "sha256": _digest(key)}])
    return key


def remove_key(path: Path, name: str) -> None:
    """Make a key worthless.

    Raises:
        KeysUnreadable: the file is none of keys.
        PlatformError: there is no key of that name.
        OSError: it cannot be written.
    """
    with locked(path.with_suffix(".lock")):
        entries = _entries(path)
        kept = [entry for entry in entries if entry["name"] != name]
        if len(kept) == len(entries):
            known = ", ".join(entry["name"] for entry in entries) or "none"
            raise PlatformError(f"there is no key named {name!r}", remedy=f"the keys are: {known}")
        write_json(path, kept)


def _entries(path: Path) -> list[dict[str, str]]:
    try:
        content = path.read_bytes() if path.exists() else b""
        _callers(content)
    except (ValueError, LookupError, TypeError) as error:
        raise KeysUnreadable(
            f"{path} is no file of API keys ({type(error).__name__})",
            remedy="restore it, or remove it and make new keys",
        ) from None
    entries: list[dict[str, str]] = json.loads(content) if content else []
    return entries


def _callers(content: bytes) -> dict[str, Caller]:
    """By digest; none where there is no file."""
    entries = json.loads(content) if content else []
    return {entry["sha256"]: Caller(entry["name"], entry["scope"]) for entry in entries}


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
