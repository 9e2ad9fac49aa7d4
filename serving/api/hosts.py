"""By which names the service is asked: a web page whose own name leads to this machine (DNS rebinding) is no caller.

A browser says in ``Host`` which name the page has. That is another one than the service's, though the page's script
reaches the service; so whoever asks under a foreign name is refused before anything else happens.
"""

import ipaddress

from starlette.types import Scope

from mlops_platform.settings import PlatformSettings
from serving.problems import Problem

ANY = "*"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NO_NAMES = {"", ANY, "0.0.0.0", "::"}  # noqa: S104 - nobody is asked as "every address"


class AllowedHosts:
    """The names of one installation: loopback's, its own, and those of ``MLOPS_SERVING_ALLOWED_HOSTS``."""

    def __init__(self, settings: PlatformSettings) -> None:
        given = {name.strip() for name in settings.serving_allowed_hosts.split(",")}
        own = {settings.serving_host, settings.public_host or "", settings.bind_address}
        self.names = sorted(map(_as_in_a_url, {*_LOOPBACK, *own, *given} - _NO_NAMES))
        self._any = ANY in given
        # as nearly every client writes it; any other spelling is taken apart
        self._usual = {f"{name}:{settings.serving_port}".encode() for name in self.names}
        self._names = {name.encode() for name in self.names}

    def check(self, scope: Scope) -> None:
        """Raises a 421 for a foreign name, a 400 for a request without a name or with several."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and hosts[0] in self._usual:
            return
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            raise Problem(400, "host-required", f"the header Host: expected one, found {len(hosts)}")
        if hosts and not self._any and _name_of(hosts[0]) not in self._names:
            raise Problem(
                421,
                "foreign-host",
                f"the service has another name: it is asked as {', '.join(self.names)}; further names stand in the "
                "setting MLOPS_SERVING_ALLOWED_HOSTS",
            )


def _name_of(host: bytes) -> bytes:
    """The name in a ``Host``, in lower case, without the port."""
    end = host.find(b"]") + 1 if host.startswith(b"[") else host.find(b":")
    return (host[:end] if end > 0 else host).lower()


def _as_in_a_url(name: str) -> str:
    """An IPv6 address stands in brackets there."""
    try:
        return f"[{ipaddress.IPv6Address(name)}]"
    except ValueError:
        return name.lower()
