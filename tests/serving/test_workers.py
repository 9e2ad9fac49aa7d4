"""Several workers are one service to whoever looks at its figures, and their threads do not interrupt one another."""

import contextlib
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_platform.settings import PlatformSettings
from serving.paths import serving_paths
from tests.processes import free_port, wait_until
from tests.serving.processes import service_process, worker_of

ENTITY = "5008804"
WORKERS = 2


@pytest.fixture
def two_workers(installation: PlatformSettings) -> PlatformSettings:
    changes = {"serving_port": free_port(), "serving_workers": WORKERS}
    settings = installation.model_copy(update=changes)
    settings.model_fields_set.update(changes)
    return settings


def figures(settings: PlatformSettings) -> dict[str, float]:
    """Sample by name of the figures of the predictions for an id, as one scrape has them."""
    page = httpx.get(f"{settings.serving_url}/metrics", trust_env=False)
    wanted = {
        "serving_request_seconds_count": {"route": "/predict/{id}", "status": "200"},
        "serving_predictions_total": {"use_case": "credit_risk", "variant": "champion", "model_version": "1"},
        "serving_prediction_log_queue": {},
        "serving_snapshot_age_seconds": {"use_case": "credit_risk"},
    }
    samples = [sample for family in text_string_to_metric_families(page.text) for sample in family.samples]
    return {sample.name: sample.value for sample in samples if wanted.get(sample.name) == sample.labels}


def workers_that_answer(settings: PlatformSettings, requests: int) -> set[str]:
    """Ask for so many predictions, each on a connection of its own."""
    answers = [httpx.get(f"{settings.serving_url}/predict/{ENTITY}", trust_env=False) for _ in range(requests)]
    assert [answer.status_code for answer in answers] == [200] * requests
    return {worker_of(answer) for answer in answers}


def test_a_scrape_has_the_figures_of_all_workers_and_of_no_earlier_start(two_workers: PlatformSettings) -> None:
    with service_process(two_workers):
        assert len(workers_that_answer(two_workers, 60)) == WORKERS
        for _ in range(10):  # whichever worker answers
            found = figures(two_workers)
            assert (found["serving_request_seconds_count"], found["serving_predictions_total"]) == (60, 60)
            assert 0 < found["serving_snapshot_age_seconds"] < 600
    with service_process(two_workers):
        workers_that_answer(two_workers, 3)
        found = figures(two_workers)
        assert (found["serving_request_seconds_count"], found["serving_predictions_total"]) == (3, 3)


def test_a_worker_that_dies_is_replaced_and_its_counts_stay(two_workers: PlatformSettings) -> None:
    folder = serving_paths(two_workers).metrics

    def gauges() -> set[int]:
        return {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_livesum_*.db")}

    with service_process(two_workers):
        workers_that_answer(two_workers, 40)
        before = gauges()
        assert len(before) == WORKERS
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(gauges() - before) == 1, "another worker is there", 60)
        # what a dead worker had queued is no longer waiting for the disk, and does not count as if it were
        wait_until(lambda: figures(two_workers) and victim not in gauges(), "its gauges are gone", 30)
        assert figures(two_workers)["serving_predictions_total"] == 40


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_every_thread_of_a_worker_finishes_before_the_next_one_begins(two_workers: PlatformSettings) -> None:
    with service_process(two_workers) as process:
        workers_that_answer(two_workers, 20)
        workers = [path for path in Path("/proc").glob("[0-9]*") if in_group(path, process.pid)]
        workers = [path for path in workers if path.name != str(process.pid)]
        policies = [policy for path in workers for thread in (path / "task").iterdir() for policy in policy_of(thread)]
        assert len(policies) >= WORKERS * 3  # the network's, the one in between, Python's
        assert set(policies) == {os.SCHED_BATCH}


def in_group(process: Path, group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getpgid(int(process.name)) == group
    return False


def policy_of(thread: Path) -> list[int]:
    """Of a thread that may have ended by now."""
    with contextlib.suppress(ProcessLookupError):
        return [os.sched_getscheduler(int(thread.name))]
    return []
