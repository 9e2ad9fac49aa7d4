"""The one caller of a container who needs no key: the machine that publishes its port on loopback alone.

What comes through a published port has the address of the container's gateway; other containers have their own, and the
gateway's is none that they could take (Compose drops all capabilities).
"""

import ipaddress
import logging
import sys
from pathlib import Path

from mlops_platform.settings import PlatformSettings

_ROUTES = Path("/proc/net/route")
_DEFAULT = "00000000"

logger = logging.getLogger(__name__)


def keyless_address(settings: PlatformSettings, routes: Path = _ROUTES) -> str | None:
    """The gateway's address, None where everybody needs a key: without the setting, or if no gateway is known."""
    if not settings.serving_keyless_gateway or settings.serving_require_api_key:
        return None
    found = _gateway(routes)
    if found is None:
        logger.warning("no gateway is known, so keys are asked for from everyone")
    return found


def _gateway(routes: Path) -> str | None:
    """Of the default route: the kernel writes addresses in hexadecimal, in the machine's order of bytes."""
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return None
    for _, destination, gateway, *_ in map(str.split, lines):
        if destination == _DEFAULT and gateway != _DEFAULT:
            return str(ipaddress.IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder)))
    return None
