"""The features DAG as Airflow runs it: what a run does, what it leaves out, and what it says came of it."""

from typing import Any

import pytest

from mlops_platform.lake.snapshots import snapshot_id
from tests.airflow.programs import report_of

ALL = ["announce_snapshot", "compare_with_published", "compute_features", "report_result", "resolve_dataset"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report_of("features_runs.py", tmp_path_factory.mktemp("runs"))


def test_without_a_dataset_there_is_nothing_to_do(runs: dict[str, Any]) -> None:
    run = runs["no data"]
    assert (run["state"], run["succeeded"]) == ("success", ["report_result"])
    assert run["result"] == {"result": "no_data", "snapshot": None}


@pytest.mark.parametrize("name", ["first", "forced"])
def test_what_is_new_or_forced_is_published_and_announced(runs: dict[str, Any], name: str) -> None:
    run = runs[name]
    assert (run["state"], run["succeeded"]) == ("success", ALL)
    assert run["result"] == {"result": "published", "snapshot": run["snapshot"]}
    assert (run["current"], run["checked_later"]) == (run["snapshot"], False)


def test_where_nothing_is_new_nothing_is_done_and_the_check_is_noted(runs: dict[str, Any]) -> None:
    run = runs["same"]
    assert run["state"] == "success"
    assert run["skipped"] == ["announce_snapshot", "compute_features"]
    assert run["result"] == {"result": "unchanged", "snapshot": runs["first"]["snapshot"]}
    assert (run["current"], run["checked_later"]) == (runs["first"]["snapshot"], True)


def test_a_snapshot_of_an_earlier_day_is_not_announced(runs: dict[str, Any]) -> None:
    run = runs["earlier day"]
    assert (run["state"], run["skipped"]) == ("success", ["announce_snapshot"])
    assert run["result"] == {"result": "published", "snapshot": run["snapshot"]}
    assert run["current"] == snapshot_id("later")


def test_a_dry_run_announces_nothing(runs: dict[str, Any]) -> None:
    run = runs["dry"]
    assert (run["state"], run["skipped"]) == ("success", ["announce_snapshot"])
    assert run["result"] == {"result": "dry_run", "snapshot": None}


def test_a_published_run_that_is_cleared_keeps_to_its_dataset(runs: dict[str, Any]) -> None:
    # three datasets have arrived; the run that published nothing takes the latest
    assert runs["datasets when cleared"] == [1, 3, 3]
