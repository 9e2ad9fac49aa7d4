"""``python -m mlops_platform.services.usable SERVICE [SECONDS]``: ends well once this container's service is usable.

Asks what the local mode asks (services.py); only a worker and the training launcher are looked at differently here.
"""

import os
import socket
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mlops_platform.console import complain
from mlops_platform.services import probes
from mlops_platform.services.table import Service, is_usable, services
from mlops_platform.settings import PlatformSettings, load_settings

_POLL_SECONDS = 0.5


def container_services(settings: PlatformSettings) -> dict[str, Service]:
    """The services that containers run, by their names in docker-compose.yml."""
    address = socket.gethostbyname(socket.gethostname())
    found = {service.name: service for service in services(settings)}
    return found | {
        "spark-worker": replace(
            found["spark-worker-1"],
            name="spark-worker",
            usable=lambda settings, _since: probes.spark_worker(settings, address),
        ),
        "training-launcher": Service(
            "training-launcher",
            (),
            lambda _, __: probes.training_launcher(),
        ),
    }


def container_start() -> datetime:
    """When this container's first process started."""
    ticks = int(Path("/proc/1/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19])
    kernel = dict(line.split(" ", 1) for line in Path("/proc/stat").read_text(encoding="utf-8").splitlines())
    return datetime.fromtimestamp(int(kernel["btime"]) + ticks / os.sysconf("SC_CLK_TCK"), UTC)


def wait_until_usable(service: Service, settings: PlatformSettings, since: datetime, deadline: float) -> bool:
    """Whether the service was usable within ``deadline`` seconds. Asked at least once."""
    end = time.monotonic() + deadline
    while not is_usable(service, settings, since):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def main(name: str, seconds: str | None = None) -> int:
    """Waits the service's own deadline where no number of seconds is given."""
    settings = load_settings()
    service = container_services(settings)[name]
    deadline = float(seconds or service.deadline)
    if wait_until_usable(service, settings, container_start(), deadline):
        return 0
    complain(f"{name} is not usable after {deadline:.0f} s")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
