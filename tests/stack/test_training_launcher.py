"""What the launcher's HTTP interface takes, refuses and answers.

The containers behind it are tested with a real engine (tests/docker/test_training_launcher.py).
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import APIError
from fastapi.testclient import TestClient
from requests import ConnectionError as EngineAway

from mlops_platform.clients.training_launcher import LogLine, TrainingState
from mlops_platform.errors import LakeError, SnapshotError
from stack.training_launcher.app import application
from stack.training_launcher.containers import RunBusy, RunUnknown

TOKEN = {"Authorization": "Bearer the-token"}
RUN = "/training-runs/credit_risk/manual__2026-01-02T03:04:05.678+00:00_aB~1"
RUN_ID = "manual__2026-01-02T03:04:05.678+00:00_aB~1"


class Containers:
    """Notes what it is asked; raises ``failure`` if there is one."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failure: Exception | None = None

    def _note(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure

    def ping(self) -> None:
        self._note("ping")

    def start(self, use_case: str, run_id: str, snapshot: str) -> None:
        self._note("start", use_case, run_id, snapshot)

    def state(self, use_case: str, run_id: str, after: str | None) -> TrainingState:
        self._note("state", use_case, run_id, after)
        return TrainingState(exit_code=None, lines=(LogLine(at="2026-01-02T03:04:05.1", text="fitting"),))

    def remove(self, use_case: str, run_id: str) -> None:
        self._note("remove", use_case, run_id)

    def sweep(self, now: dt.datetime) -> None:
        pass


@pytest.fixture
def containers() -> Containers:
    return Containers()


@pytest.fixture
def client(containers: Containers) -> Iterator[TestClient]:
    app = application(containers, "the-token")  # type: ignore[arg-type]
    with TestClient(app, base_url="http://training-launcher") as client:
        yield client


def test_a_run_is_started_followed_and_removed(client: TestClient, containers: Containers) -> None:
    assert client.put(RUN, params={"snapshot": "s-1"}, headers=TOKEN).status_code == 204
    state = client.get(RUN, params={"after": "2026-01-02T03:04:05.01"}, headers=TOKEN)
    assert state.json() == {"exit_code": None, "lines": [{"at": "2026-01-02T03:04:05.1", "text": "fitting"}]}
    assert client.delete(RUN, headers=TOKEN).status_code == 204
    assert containers.asked == [
        ("start", "credit_risk", RUN_ID, "s-1"),
        ("state", "credit_risk", RUN_ID, "2026-01-02T03:04:05.01"),
        ("remove", "credit_risk", RUN_ID),
    ]


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer ", "the-token", "Bearer the-token2", "bearer the-token", "Bearer ü"]
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_without_the_token_nothing_is_done(
    client: TestClient, containers: Containers, method: str, shown: str | None
) -> None:
    headers = {} if shown is None else {"Authorization": shown.encode()}
    refused = client.request(method, RUN, params={"snapshot": "s"}, headers=headers)
    assert (refused.status_code, refused.json()["what"]) == (401, "the token is not the launcher's")
    assert containers.asked == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/training-runs/credit_risk/..?snapshot=s", 404),
        ("/training-runs/credit_risk/%2e%2e?snapshot=s", 422),
        ("/training-runs/credit_risk/..%2F..%2Fetc?snapshot=s", 404),
        ("/training-runs/credit_risk/a%2Fb?snapshot=s", 404),
        ("/training-runs/credit_risk/a%00b?snapshot=s", 422),
        ("/training-runs/credit_risk/a%0Ab?snapshot=s", 422),
        ("/training-runs/credit_risk/a%0A?snapshot=s", 422),
        ("/training-runs/credit_risk/-rf?snapshot=s", 422),
        (f"/training-runs/credit_risk/{'a' * 251}?snapshot=s", 422),
        ("/training-runs/Credit/run?snapshot=s", 422),
        ("/training-runs/..%2Fx/run?snapshot=s", 404),
        ("/training-runs/credit_risk/run", 422),
        ("/training-runs/credit_risk/run?snapshot=../s", 422),
        ("/training-runs/credit_risk/run?snapshot=s/t", 422),
        ("/training-runs/credit_risk/run?snapshot=", 422),
        ("/containers/create", 404),
        ("/v1.41/containers/create", 404),
        ("/images/json", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
    ],
)
def test_what_does_not_match_its_grammar_is_refused(
    client: TestClient, containers: Containers, path: str, status: int
) -> None:
    refused = client.put(path, headers=TOKEN)
    assert refused.status_code == status, refused.text
    assert set(refused.json()) == {"what", "remedy"}
    assert containers.asked == []


@pytest.mark.parametrize("after", ["yesterday", "2026-01-02", "2026-01-02T03:04:05.1234567890", "2026-01-02T03:04:05Z"])
def test_a_log_is_asked_for_from_a_moment_on(client: TestClient, containers: Containers, after: str) -> None:
    assert client.get(RUN, params={"after": after}, headers=TOKEN).status_code == 422
    assert containers.asked == []


@pytest.mark.parametrize(
    ("failure", "status", "what"),
    [
        (RunUnknown("no such run", remedy="start it"), 404, "no such run"),
        (RunBusy("under way", remedy="wait"), 409, "under way"),
        (SnapshotError("no such snapshot", remedy="publish it"), 409, "no such snapshot"),
        (LakeError("no key", remedy="none"), 409, "no key"),
        (APIError("engine says no"), 503, "the engine or the lake failed: engine says no"),
        (EngineAway("gone"), 503, "the engine or the lake failed: gone"),
        (OSError(28, "No space left"), 503, "the engine or the lake failed: [Errno 28] No space left"),
    ],
)  # fmt: skip
def test_why_it_failed_is_said(
    client: TestClient, containers: Containers, failure: Exception, status: int, what: str
) -> None:
    containers.failure = failure
    answer = client.get(RUN, headers=TOKEN)
    assert (answer.status_code, answer.json()["what"]) == (status, what)


def test_it_is_healthy_while_the_engine_answers(client: TestClient, containers: Containers) -> None:
    assert client.get("/healthz").status_code == 204
    containers.failure = EngineAway("gone")
    assert client.get("/healthz").status_code == 503
