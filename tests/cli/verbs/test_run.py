"""``mlops run``."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Mlops
from tests.scripted_airflow import ScriptedAirflow
from tests.scripted_server import ScriptedServer


@pytest.mark.parametrize("arguments", [("features", "--snapshot", "s"), ("training", "--dry-run")])
def test_an_option_of_the_other_pipeline_is_refused(mlops: Mlops, arguments: tuple[str, ...]) -> None:
    shown = mlops("run", "credit_risk", *arguments)
    assert shown.code == 2
    assert "belong to the" in shown.err


def test_a_started_run_is_named_for_a_script(mlops: Mlops, server: ScriptedServer) -> None:
    server.on("POST", "/auth/token", {"access_token": "t"})
    dag = "/api/v2/dags/credit_risk_features"
    server.on("GET", dag, {})
    server.on("POST", f"{dag}/dagRuns", {"dag_id": "credit_risk_features", "dag_run_id": "f1", "state": "queued"})
    shown = mlops("run", "credit_risk", "features", "--dataset-version", "2", "--dry-run", "--no-wait", "--json")
    assert json.loads(shown.out) == {"dag_id": "credit_risk_features", "run_id": "f1", "state": "queued"}
    assert server.asked[-1].body["conf"] == {"dataset_version": 2, "dry_run": True, "force": False}


VERDICT = {
    "use_case": "credit_risk",
    "snapshot": "s1",
    "model_version": "4",
    "family": "random_forest",
    "accepted": True,
}


def test_where_nothing_is_new_it_says_unchanged_and_ends_well(mlops: Mlops, airflow: ScriptedAirflow) -> None:
    airflow.features_end("unchanged", "s1", announced=False)
    shown = mlops("run", "credit_risk", "features")
    assert (shown.code, shown.out) == (0, "unchanged: snapshot s1 has the same data, code and spec\n")
    assert json.loads(mlops("run", "credit_risk", "features", "--json").out) == {
        "snapshot": "s1",
        "features_run": "f1",
        "training_run": None,
        "verdict": None,
        "promoted": None,
        "unchanged": True,
    }
    assert airflow.conf("credit_risk_features") == {"dataset_version": 0, "dry_run": False, "force": False}


def test_force_is_passed_to_either_dag(mlops: Mlops, airflow: ScriptedAirflow) -> None:
    airflow.features_end("published", "s2", announced=True)
    airflow.training_ends("promoted", "4", VERDICT)
    assert mlops("run", "credit_risk", "features", "--force").code == 0
    assert airflow.conf("credit_risk_features") == {"dataset_version": 0, "dry_run": False, "force": True}
    assert mlops("run", "credit_risk", "training", "--force").code == 0
    assert airflow.conf("credit_risk_training") == {"snapshot": None, "require_approval": False, "force": True}


def test_a_published_snapshot_and_its_champion(mlops: Mlops, airflow: ScriptedAirflow) -> None:
    airflow.features_end("published", "s1", announced=True)
    airflow.training_ends("promoted", "4", VERDICT)
    accepted = "accepted: version 4 (random_forest) of credit_risk, trained on s1"
    assert mlops("run", "credit_risk", "features").out.splitlines() == [
        "published snapshot s1",
        accepted,
        "champion is version 4",
    ]
    shown = json.loads(mlops("run", "credit_risk", "features", "--json").out)
    assert (shown["promoted"], shown["unchanged"], shown["training_run"]) == (True, False, "t1")


def test_a_snapshot_of_an_older_date_is_not_waited_for_in_training(mlops: Mlops, airflow: ScriptedAirflow) -> None:
    airflow.features_end("published", "s0", announced=False)
    assert mlops("run", "credit_risk", "features").out == (
        "published snapshot s0, which is older than the published one: that one stays\n"
    )


REJECTED = VERDICT | {"accepted": False, "failed_rules": ["roc_auc 0.5000 is below the minimum 0.5500"]}
REJECTED_TEXT = "rejected: version 4 (random_forest) of credit_risk, trained on s1; the champion stays"
UNDECIDED_TEXT = "undecided: version 4 (random_forest) of credit_risk, trained on s1; a person has to decide"
NOT_APPROVED_TEXT = "not promoted: the approval was refused, or nobody answered in time"
ACCEPTED_TEXT = "accepted: version 4 (random_forest) of credit_risk, trained on s1"


@pytest.mark.parametrize(
    ("result", "verdict", "expected"),
    [
        (
            "rejected",
            REJECTED,
            f"{REJECTED_TEXT}\n- roc_auc 0.5000 is below the minimum 0.5500",
        ),
        ("promoted", VERDICT, f"{ACCEPTED_TEXT}\nchampion is version 4"),
        (
            "not_approved",
            VERDICT,
            f"{ACCEPTED_TEXT}\n{NOT_APPROVED_TEXT}",
        ),
        (
            "not_approved",
            VERDICT | {"incomparable": ["the champion has another spec"]},
            f"{UNDECIDED_TEXT}\n- the champion has another spec\n{NOT_APPROVED_TEXT}",
        ),
        ("unchanged", None, "unchanged: version 4 has the same snapshot, code and spec"),
    ],
)
def test_what_comes_of_a_training_run(
    mlops: Mlops, airflow: ScriptedAirflow, result: str, verdict: dict[str, Any] | None, expected: str
) -> None:
    airflow.training_ends(result, "4", verdict)
    shown = mlops("run", "credit_risk", "training")
    assert (shown.code, shown.out) == (0, expected + "\n")
    content = json.loads(mlops("run", "credit_risk", "training", "--json").out)
    assert (content["promoted"], content["unchanged"]) == (result == "promoted", result == "unchanged")
