"""The training DAG as Airflow runs it: what a run does, what it leaves out, and what it says came of it."""

import itertools
from typing import Any

import pytest

from tests.airflow.programs import report_of

DONE = [
    "compare_with_registered",
    "judge",
    "notify",
    "promote_champion",
    "report_result",
    "resolve_snapshot",
    "train_candidates",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report_of("training_runs.py", tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(("name", "version"), [("first", "1"), ("forced", "2"), ("tried again", "5")])
def test_what_is_new_or_forced_is_trained_and_promoted(runs: dict[str, Any], name: str, version: str) -> None:
    run = runs[name]
    assert (run["state"], run["succeeded"], run["skipped"]) == ("success", DONE, ["approve"])
    assert run["result"] == {"result": "promoted", "model_version": version}
    assert run["champion"] == version


def test_where_nothing_is_new_nothing_is_trained(runs: dict[str, Any]) -> None:
    run = runs["same"]
    assert (run["state"], run["succeeded"]) == (
        "success",
        ["compare_with_registered", "report_result", "resolve_snapshot"],
    )
    assert run["result"] == {"result": "unchanged", "model_version": "1"}
    assert (run["champion"], run["versions"]) == ("1", 1)


def test_a_rejected_candidate_leaves_the_champion_and_is_not_trained_again(runs: dict[str, Any]) -> None:
    assert runs["rejected"]["result"] == {"result": "rejected", "model_version": "3"}
    assert (runs["rejected"]["champion"], runs["rejected"]["state"]) == ("2", "success")
    assert runs["rejected before"]["result"] == {"result": "unchanged", "model_version": "3"}


def test_a_job_whose_promotion_failed_is_not_done(runs: dict[str, Any]) -> None:
    assert (runs["promotion failed"]["state"], runs["promotion failed"]["champion"]) == ("failed", "2")
    assert runs["tried again"]["result"]["result"] == "promoted"


def test_each_promotion_is_on_record(runs: dict[str, Any]) -> None:
    def promotion(version: str, result: str, **outcome: str | None) -> list[Any]:
        return ["promotion", "credit_risk", "DAG credit_risk_training", {"version": version}, result, outcome]

    # of one that fails each attempt is on record
    assert [act for act, _ in itertools.groupby(runs["on record"])] == [
        promotion("1", "done", champion="1", before=None),
        promotion("2", "done", champion="2", before="1"),
        promotion("4", "refused"),
        promotion("5", "done", champion="5", before="2"),
    ]


def test_what_could_not_be_compared_waits_for_a_person(runs: dict[str, Any]) -> None:
    assert runs["undecided leads to"] == "approve"


def test_the_snapshot_is_the_one_named_or_announced_or_published(runs: dict[str, Any]) -> None:
    assert runs["resolved"] == {"event of a person": "a-third-one", "last event": "first", "param": "second-one"}


def test_a_features_run_that_was_forced_forces_the_training_that_it_starts(runs: dict[str, Any]) -> None:
    assert runs["is there anything to train"] == {"announced": False, "announced by a forced run": True}


def test_what_may_pass_is_tried_again_and_nothing_else(runs: dict[str, Any]) -> None:
    assert runs["retries"] == {"1": "fail", "75": "default", "-9": "default", "137": "default"}
