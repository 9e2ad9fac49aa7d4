"""The server outlives its workers, whatever kills them and however often; no worker outlives its server."""

import contextlib
import os
import signal

import httpx
import psutil
import pytest

from mlops_platform.settings import PlatformSettings
from serving.paths import serving_paths
from serving.workers import next_pause
from tests.processes import free_port, wait_until
from tests.serving.processes import service_process


@pytest.fixture
def alone(installation: PlatformSettings) -> PlatformSettings:
    """One worker, so that nobody else answers while it is away."""
    port = free_port()
    settings = installation.model_copy(update={"serving_port": port})
    settings.model_fields_set.add("serving_port")
    return settings


def worker_of_server(server: int) -> psutil.Process | None:
    """The one worker that is there now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server).children():
            if child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def status(settings: PlatformSettings) -> int | None:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{settings.serving_url}/predict/5008804", timeout=5, trust_env=False).status_code
    return None


def test_workers_that_die_one_after_another_are_each_replaced(alone: PlatformSettings) -> None:
    with service_process(alone) as server:
        for _ in range(2):
            victim = wait_until(lambda: worker_of_server(server.pid), "a worker is there", 30)
            victim.send_signal(signal.SIGBUS)
            victim.wait(10)
        wait_until(lambda: status(alone) == 200, "the third worker answers", 60)
        # and one that dies of what it has mapped: the next one finds that its copy is not what the manifest says
        victim = wait_until(lambda: worker_of_server(server.pid), "a worker is there", 30)
        (copy,) = serving_paths(alone).snapshots("credit_risk").glob("*.lmdb")
        os.truncate(copy, 0)
        assert status(alone) is None
        victim.wait(10)
        wait_until(lambda: status(alone) == 200, "the fourth worker answers", 60)
        assert server.poll() is None
        server.terminate()
        assert server.wait(30) == 0


def test_a_worker_ends_with_its_server(alone: PlatformSettings) -> None:
    with service_process(alone) as server:
        worker = worker_of_server(server.pid)
        assert worker is not None
        os.kill(server.pid, signal.SIGKILL)
        worker.wait(20)
        assert status(alone) is None


def test_the_pauses_grow_to_a_bound_and_begin_anew_after_a_calm_life() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], lived=1))
    assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert next_pause(10.0, lived=3600) == 0.0
