"""What the service says of an answer of a round."""

from typing import Any

import pytest

from mlops_platform.clients.prediction_service import ServiceAway, ServiceHasNone
from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos import evidence, waiting, witness
from stack.chaos.traffic import Answer
from stack.chaos.witness import Witness

ANSWER = Answer(1.0, "a1", "5", 1, 0.75, None, "champion", "3", "s1")
TOO_BUSY = ServiceAway("the prediction service answered 503: too slow", remedy="wait")
UNKNOWN = ServiceHasNone("the prediction service answered 404: no such request", remedy="name another one")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ([TOO_BUSY, TOO_BUSY, {"answers": []}], {"answers": []}),
        ([UNKNOWN, {"answers": []}], str(UNKNOWN)),
    ],
)
def test_an_answer_is_computed_again_as_soon_as_the_service_can(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, said: list[Any], found: object
) -> None:
    class Service:
        def __init__(self, _settings: PlatformSettings) -> None: ...
        def replay(self, request_id: str) -> object:
            assert request_id == "a1"
            answer = said.pop(0)
            if isinstance(answer, PlatformError):
                raise answer
            return answer

    monkeypatch.setattr(witness, "PredictionService", Service)
    monkeypatch.setattr(evidence, "ask", lambda *_: [])
    monkeypatch.setattr(waiting, "sleep", lambda _seconds: None)
    assert Witness(settings, "credit_risk").replays([ANSWER], {"a1": 1}) == {"a1": found}
