"""Tasks whose processes are killed: they are reported as failed, and those after them run."""

from pathlib import Path

from tests.airflow.programs import report_of


def test_the_executor_has_no_idle_workers_and_outlives_the_death_of_each(tmp_path: Path) -> None:
    killed = ["failed", "its process ended with -9"]
    assert report_of("executor_runs.py", tmp_path) == {
        "idle": [],
        "running": ["killed 1", "killed 2"],
        "processes": 2,
        "reported": {
            "killed 1": killed,
            "killed 2": killed,
            "after": ["success", None],
            "well": ["success", None],
            "raises": ["failed", "its process ended with 1"],
        },
        "left": [[], [], []],
    }
