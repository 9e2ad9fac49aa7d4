"""SIGTERM while requests are under way: what was taken is answered whole and recorded, and the process ends well."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest

from mlops_platform.settings import PlatformSettings
from serving.log.publish import publish
from serving.paths import serving_paths
from tests.processes import free_port, wait_until
from tests.serving.installation import ROWS
from tests.serving.processes import service_process

DEADLINE_SECONDS = 30
UNDER_WAY = 8
IDS = [row.entity_id for row in ROWS] * 100
BODY = json.dumps({"ids": IDS}).encode()


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def stopped(installation: PlatformSettings, request: pytest.FixtureRequest) -> PlatformSettings:
    changes = {"serving_port": free_port(), "serving_workers": request.param}
    settings = installation.model_copy(update=changes)
    settings.model_fields_set.update(changes)
    return settings


@contextlib.contextmanager
def taken_request(settings: PlatformSettings) -> Iterator[socket.socket]:
    """A request that the application has begun to read: it has asked for the body, which is not sent yet."""
    head = (
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        f"content-length: {len(BODY)}\r\n\r\n"
    )
    with socket.create_connection((settings.serving_host, settings.serving_port), timeout=DEADLINE_SECONDS) as taken:
        taken.sendall(head.encode())
        assert taken.recv(1024).startswith(b"HTTP/1.1 100 ")
        yield taken


def finish(taken: socket.socket) -> dict[str, object]:
    """Send the body. Returns the answer, which has to be whole."""
    taken.sendall(BODY)
    answer = http.client.HTTPResponse(taken)
    answer.begin()
    content = answer.read()  # raises where the server closes before the announced length
    assert (answer.status, len(content)) == (200, int(answer.headers["content-length"]))
    found: dict[str, object] = json.loads(content)
    return found


def ask_until_the_server_hangs_up(settings: PlatformSettings, answered: list[str], broken: list[str]) -> None:
    """One request after the other on one connection. A server may close it between two, and not within an answer."""
    connection = http.client.HTTPConnection(settings.serving_host, settings.serving_port, timeout=DEADLINE_SECONDS)
    connection.connect()
    connection.auto_open = 0
    with contextlib.closing(connection):
        while True:
            try:
                connection.request("GET", "/predict/5008804")
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException):
                return
            try:
                answered.append(json.loads(answer.read())["request_id"])
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                broken.append(repr(error))
                return


def recorded(settings: PlatformSettings) -> list[str]:
    """The request ids of all records; what the service's own publisher leaves is published here."""
    log = serving_paths(settings).log

    def all_published() -> bool:
        publish(settings)
        return not [*log.glob("*.open"), *log.glob("*.jsonl")]

    wait_until(all_published, "all segments are published", DEADLINE_SECONDS)
    files = (settings.lake_root / "predictions" / "credit_risk" / "online").glob("*.parquet")
    return [request_id for path in files for request_id in pq.read_table(path)["request_id"].to_pylist()]


def test_requests_under_way_are_answered_whole_and_recorded(stopped: PlatformSettings) -> None:
    answered: list[str] = []
    broken: list[str] = []
    with service_process(stopped) as process, contextlib.ExitStack() as connections:
        taken = [connections.enter_context(taken_request(stopped)) for _ in range(UNDER_WAY)]
        load = [
            threading.Thread(target=ask_until_the_server_hangs_up, args=[stopped, answered, broken])
            for _ in range(UNDER_WAY)
        ]
        for thread in load:
            thread.start()
        wait_until(lambda: len(answered) > 300, "there is load", DEADLINE_SECONDS)
        process.terminate()
        for thread in load:  # ends once every worker has been told
            thread.join(DEADLINE_SECONDS)
        assert process.poll() is None, "it left with requests under way"
        answers = [finish(one) for one in taken]
        assert process.wait(DEADLINE_SECONDS) == 0
    assert broken == []
    assert [[row["id"] for row in answer["predictions"]] for answer in answers] == [IDS] * UNDER_WAY  # type: ignore[attr-defined]
    batches = [str(answer["request_id"]) for answer in answers]
    # nothing is missing, nothing is there twice, and nothing was predicted for a request that got no answer
    assert sorted(recorded(stopped)) == sorted([*answered, *batches * len(IDS)])
