"""What counts as an answer, as an error that is allowed, and as what nobody should ever be told."""

from dataclasses import asdict
from typing import Any

import pytest

from mlops_platform.clients.prediction_service import connect
from mlops_platform.settings import PlatformSettings
from stack.chaos.traffic import Traffic, steady_traffic
from tests.processes import wait_until
from tests.scripted_server import ScriptedServer

PATH = "/v1/credit_risk/predict/5"
PREDICTION = {
    "id": "5",
    "prediction": 1,
    "probability": 0.75,
    "feature_date": None,
    "stale": False,
    "variant": "champion",
    "model_version": "3",
    "snapshot": "s1",
    "request_id": "a1",
}


def asked(settings: PlatformSettings) -> Traffic:
    traffic = Traffic()
    with connect(settings) as client:
        traffic.ask(client, "credit_risk", "5")
    return traffic


def test_a_prediction_is_an_answer(settings: PlatformSettings, server: ScriptedServer) -> None:
    server.on("GET", PATH, PREDICTION)
    traffic = asked(settings)
    assert (traffic.refusals, traffic.wrong) == ([], [])
    (answer,) = traffic.answers
    assert asdict(answer) == {
        "at": answer.at,
        "request_id": "a1",
        "entity_id": "5",
        "prediction": 1,
        "probability": 0.75,
        "feature_date": None,
        "variant": "champion",
        "model_version": "3",
        "snapshot": "s1",
    }
    assert answer.pair == ("s1", "3")
    assert traffic.answered_since(answer.at - 1)
    assert not traffic.answered_since(answer.at)


def test_an_error_of_the_server_is_allowed(settings: PlatformSettings, server: ScriptedServer) -> None:
    server.on("GET", PATH, "starting", status=503)
    traffic = asked(settings)
    assert ([one.what for one in traffic.refusals], traffic.answers, traffic.wrong) == (["503 starting"], [], [])


def test_a_server_that_is_away_is_allowed(settings: PlatformSettings, unused_port: int) -> None:
    traffic = asked(settings.model_copy(update={"serving_port": unused_port}))
    assert (len(traffic.refusals), traffic.answers, traffic.wrong) == (1, [], [])
    assert "ConnectError" in traffic.refusals[0].what


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "gone"),
        (200, "half an ans"),
        (200, {**PREDICTION, "id": "6"}),
        (200, {name: value for name, value in PREDICTION.items() if name != "snapshot"}),
        (200, [1]),
    ],
)
def test_everything_else_is_wrong(settings: PlatformSettings, server: ScriptedServer, status: int, body: Any) -> None:
    server.on("GET", PATH, body, status=status)
    traffic = asked(settings)
    assert (traffic.answers, traffic.refusals, len(traffic.wrong)) == ([], [], 1)
    assert traffic.wrong[0].startswith(f"GET {PATH} was answered {status} ")


def test_ids_are_asked_for_in_turn_until_it_is_over(
    settings: PlatformSettings, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.chaos.traffic.ASKED_EVERY", 0.001)
    server.on("GET", PATH, PREDICTION)
    server.on("GET", "/v1/credit_risk/predict/6", {**PREDICTION, "id": "6"})
    with steady_traffic(settings, "credit_risk", ["5", "6"]) as traffic:
        wait_until(lambda: len(traffic.answers) >= 4, "four answers", 10)
    assert [one.entity_id for one in traffic.answers][:4] == ["5", "6", "5", "6"]
    assert len(server.asked) == len(traffic.answers)


def test_traffic_that_fails_by_itself_is_no_silence(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("a fault of the suite")

    monkeypatch.setattr(Traffic, "ask", broken)
    with pytest.raises(AttributeError, match="a fault of the suite"), steady_traffic(settings, "credit_risk", ["5"]):
        pass
