"""What of Airflow's configuration depends on what the platform promises elsewhere."""

from configparser import RawConfigParser
from pathlib import Path

from mlops_platform.clients.airflow import AWAY_SECONDS
from stack.triage import STANDSTILL_SECONDS


def test_a_task_waits_for_its_api_server_as_everybody_does(project_root: Path) -> None:
    configuration = RawConfigParser()
    configuration.read(project_root / "airflow" / "airflow.cfg")
    tries = configuration.getint("workers", "execution_api_retries")
    longest = configuration.getfloat("workers", "execution_api_retry_wait_max")
    shortest = 1.0  # Airflow's default; each wait is drawn from between the two
    assert tries * (shortest + longest) / 2 >= AWAY_SECONDS
    assert longest < STANDSTILL_SECONDS, "a task that is about to ask again would count as one that stands still"
