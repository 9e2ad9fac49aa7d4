"""The verbs that ask the prediction service: ``predict``, ``features``, ``replay``, ``rollback``, ``routing``."""

import json

import pytest

from tests.cli.conftest import Mlops, Outcome
from tests.scripted_server import ScriptedServer


def test_a_prediction_is_the_services_answer(mlops: Mlops, server: ScriptedServer) -> None:
    server.on("GET", "/v1/credit_risk/predict/5008804", {"id": "5008804", "prediction": 0})
    assert json.loads(mlops("predict", "5008804").out) == {"id": "5008804", "prediction": 0}


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (404, 3, "ask for an id that the published snapshot holds; see `mlops snapshots list credit_risk`"),
        (422, 1, "correct the id"),
        (503, 75, "publish a snapshot and a champion with `mlops run credit_risk features`"),
    ],
)
def test_a_refusal_of_the_service_has_a_remedy(
    mlops: Mlops, server: ScriptedServer, status: int, code: int, remedy: str
) -> None:
    server.on("GET", "/v1/credit_risk/features/a%2Fb", {"detail": "no a/b"}, status=status)
    shown = mlops("features", "credit_risk", "a/b")
    assert shown == Outcome(code, "", f"error: the prediction service answered {status}: no a/b. Remedy: {remedy}\n")


@pytest.mark.parametrize("arguments", [("rollback", "credit_risk"), ("routing", "credit_risk"), ("replay", "a1")])
def test_administration_without_a_token_says_where_it_comes_from(mlops: Mlops, arguments: tuple[str, ...]) -> None:
    assert mlops(*arguments) == Outcome(
        1,
        "",
        "error: no admin token for the prediction service is set. "
        "Remedy: set MLOPS_SERVING_ADMIN_TOKEN in .env, or run ./start.sh, which makes one\n",
    )


def test_a_prediction_service_that_is_down_is_named(
    mlops: Mlops, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SERVING_PORT", str(unused_port))
    shown = mlops("predict", "5008804")
    assert (shown.code, shown.out) == (75, "")
    assert shown.err.startswith(f"error: the prediction service does not answer at http://127.0.0.1:{unused_port} (")
    assert shown.err.endswith("Remedy: see which services run with `mlops status`; start them with ./start.sh\n")


def test_an_answer_that_differs_when_replayed_is_shown_and_fails(
    mlops: Mlops, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SERVING_ADMIN_TOKEN", "t")
    answer = {
        "position": 0,
        "id": None,
        "variant": "challenger",
        "served": False,
        "model_version": "2",
        "features_from": "log",
        "same": False,
        "recorded": {"prediction": 0, "probability": 0.25},
        "replayed": {"prediction": 1, "probability": 0.75},
    }
    server.on("GET", "/admin/replay/a1", {"request_id": "a1", "answers": [answer]})
    assert mlops("replay", "a1") == Outcome(
        1,
        "row 0 (challenger, version 2, not served; features from the log): prediction 0, probability 0.25; "
        "NOT the same again: prediction 1, probability 0.75\n",
        "",
    )
    assert server.asked[-1].authorization == "Bearer t"
