"""The DAGs as Airflow reads them, with one use case more, from a folder outside the project."""

from pathlib import Path
from typing import Any

import pytest

from tests.airflow.programs import report_of

USE_CASES = ("credit_risk", "song_genre", "titanic", "toy")
FEATURES_EDGES = [
    ["announce_snapshot", "report_result"],
    ["compare_with_published", "compute_features"],
    ["compute_features", "announce_snapshot"],
    ["resolve_dataset", "compare_with_published"],
]
TRAINING_EDGES = [
    ["approve", "promote_champion"],
    ["compare_with_registered", "train_candidates"],
    ["judge", "approve"],
    ["judge", "promote_champion"],
    ["notify", "report_result"],
    ["promote_champion", "notify"],
    ["resolve_snapshot", "compare_with_registered"],
    ["train_candidates", "judge"],
]


@pytest.fixture(scope="module")
def broken_spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec of a use case that nobody can import."""
    spec = tmp_path_factory.mktemp("theirs") / "wrong" / "spec.py"
    spec.parent.mkdir()
    spec.write_text("TITLE = 'Wrong'\nUSE_CASE = no_such_name\n", encoding="utf-8")
    return spec


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, broken_spec: Path) -> dict[str, Any]:
    return report_of("dag_report.py", tmp_path_factory.mktemp("dags"), broken_spec.parent.parent)


def test_a_broken_spec_is_left_out_and_one_file_says_which_and_where(report: dict[str, Any], broken_spec: Path) -> None:
    ((file, trace),) = report["import_errors"].items()
    assert Path(file).name == "broken_use_cases.py"
    assert (
        trace.strip()
        .splitlines()[-1]
        .endswith(
            f"{broken_spec}, line 2: NameError: name 'no_such_name' is not defined. "
            "Remedy: correct what it names; Airflow reads it again"
        )
    )


def test_every_use_case_has_its_dags(report: dict[str, Any]) -> None:
    pipelines = [f"{use_case}_{pipeline}" for use_case in USE_CASES for pipeline in ("features", "training")]
    assert sorted(report["dags"]) == sorted([*pipelines, "housekeeping"])


def test_reading_the_files_imports_nothing_heavy(report: dict[str, Any]) -> None:
    assert report["heavy"] == []


@pytest.mark.parametrize("use_case", USE_CASES)
def test_features_go_from_dataset_to_announced_snapshot(report: dict[str, Any], use_case: str) -> None:
    dag = report["dags"][f"{use_case}_features"]
    assert dag["edges"] == FEATURES_EDGES
    assert dag["params"] == {"dataset_version": 0, "dry_run": False, "force": False}
    assert dag["outlets"] == {"announce_snapshot": [f"features://{use_case}"]}
    assert set(dag["retries"].values()) == {2}


@pytest.mark.parametrize("use_case", USE_CASES)
def test_training_goes_from_snapshot_to_champion_by_way_of_the_verdict(report: dict[str, Any], use_case: str) -> None:
    dag = report["dags"][f"{use_case}_training"]
    assert dag["edges"] == TRAINING_EDGES
    assert dag["params"] == {"snapshot": None, "require_approval": False, "force": False}
    assert dag["outlets"] == {}
    assert {task: rule for task, rule in dag["trigger_rules"].items() if rule != "all_success"} == {
        "promote_champion": "none_failed_min_one_success",
        "report_result": "none_failed",
    }


def test_features_run_daily_and_training_follows_the_asset(report: dict[str, Any]) -> None:
    dags = report["dags"]
    daily = {"expression": "0 0 * * *", "timezone": "UTC", "interval": 0.0, "run_immediately": 0.0}
    assert dags["credit_risk_features"]["timetable"] == daily
    assert dags["toy_features"]["timetable"] == {}, "its spec has no schedule"
    for use_case in USE_CASES:
        condition = dags[f"{use_case}_training"]["timetable"]["asset_condition"]
        assert [asset["name"] for asset in condition["objects"]] == [f"features://{use_case}"]


def test_every_dag_keeps_the_rules_of_the_house(report: dict[str, Any]) -> None:
    for dag_id, dag in report["dags"].items():
        use_case, _, pipeline = dag_id.rpartition("_") if dag_id != "housekeeping" else ("", "", "platform")
        assert (dag["catchup"], dag["max_active_runs"], dag["paused"]) == (False, 1, False), dag_id
        assert dag["documented"], dag_id
        assert dag["reports_failure"], dag_id
        assert dag["tags"] == sorted(filter(None, [use_case, pipeline]))
        assert min(dag["retries"].values()) >= 2, dag_id
        # a person has their own deadline: the approval's response_timeout
        assert [task for task in dag["without_deadline"] if task != "approve"] == [], dag_id


def test_a_run_that_does_not_end_is_ended(report: dict[str, Any]) -> None:
    hours = {dag_id: dag["run_timeout_hours"] for dag_id, dag in report["dags"].items()}
    # a training run may wait a day for a person
    assert hours == {
        **{f"{use_case}_features": 8 for use_case in USE_CASES},
        **{f"{use_case}_training": 32 for use_case in USE_CASES},
        "housekeeping": 6,
    }


def test_what_takes_sparks_cores_has_a_pool(report: dict[str, Any]) -> None:
    pools = {dag_id: dag["pools"] for dag_id, dag in report["dags"].items() if dag["pools"]}
    assert pools == {f"{use_case}_features": {"compute_features": "spark"} for use_case in USE_CASES}


def test_the_job_is_told_the_run_and_its_day(report: dict[str, Any]) -> None:
    given = [
        *("--use-case", "credit_risk", "--dataset-version", "7"),
        *("--run-id", "manual__1", "--run-date", "2026-01-02"),
    ]
    assert report["job_arguments"] == [given, [*given, "--dry-run"]]


def test_what_may_pass_is_tried_again_and_nothing_else(report: dict[str, Any]) -> None:
    assert report["retries"] == {
        "refused by the job": "fail",
        "may pass": "default",
        "killed": "default",
        "refused by a task": "fail",
        "away": "default",
        "unforeseen": "default",
    }
