import threading
import traceback
from collections.abc import Iterator

import pytest

from mlops_platform.errors import SnapshotError
from mlops_platform.online_store import redis
from mlops_platform.online_store.redis import RedisPublisher, RedisStore, RedisUnavailable
from tests.mlops_platform.online_store.contract import FIRST, IDS, ROWS, SPEC, OnlineStoreContract
from tests.mlops_platform.online_store.publishers import InRedis
from tests.redis_server import PASSWORD, RedisServer, redis_server

PLACE = (SPEC.name, FIRST, "attempt-1")
KEY = f"mlops:{SPEC.name}:{FIRST}:attempt-1"
PAIRS = [(str(number).encode(), b'{"feature_date":null,"features":{}}') for number in range(25)]


@pytest.fixture(scope="module", autouse=True)
def _patience() -> Iterator[None]:
    """The machine may be busy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis, "LOOKUP_SECONDS", 5.0)
        yield


@pytest.fixture(scope="module")
def module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(module_server: RedisServer) -> RedisServer:
    """An empty server; one that a test stopped is started again."""
    if module_server.process is None:
        module_server.start()
    with module_server.client as client:
        client.config_set("maxmemory", 0)
        client.flushall()
    return module_server


class TestRedis(OnlineStoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def publisher(cls, module_server: RedisServer) -> InRedis:
        return InRedis(module_server.url)

    def test_threads_may_share_a_store(self, store: RedisStore) -> None:
        answers: list[object] = []

        def read() -> None:
            answers.extend(store.get_many([entity_id]) for entity_id in IDS * 50)

        readers = [threading.Thread(target=read) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert len(answers) == 4 * 50 * len(IDS)
        assert {repr(answer) for answer in answers} == {repr([known]) for known in ROWS}


def test_rows_are_written_in_commands_of_bounded_size(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "ROWS_PER_COMMAND", 7)

    assert RedisPublisher(server.url).fill(*PLACE, PAIRS) == 25

    store = RedisStore(server.url, *PLACE)
    assert (len(store), store.snapshot) == (25, FIRST)
    assert store.get_raw_many([key for key, _ in PAIRS]) == [value for _, value in PAIRS]
    with server.client as client:
        assert client.info("commandstats")["cmdstat_hset"]["calls"] >= 5


def test_a_snapshot_without_rows_has_only_misses(server: RedisServer) -> None:
    assert RedisPublisher(server.url).fill(*PLACE, []) == 0
    assert RedisStore(server.url, *PLACE).get_many(["", "1"]) == [None, None]


def test_a_half_written_snapshot_cannot_be_opened(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "ROWS_PER_COMMAND", 7)

    def breaking() -> Iterator[tuple[bytes, bytes]]:
        yield from PAIRS
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        RedisPublisher(server.url).fill(*PLACE, breaking())
    with pytest.raises(SnapshotError) as error:
        RedisStore(server.url, *PLACE)
    assert str(error.value) == (
        f"Redis at 127.0.0.1:{server.port} does not hold the rows of snapshot first, or not all of them. Remedy: see "
        "that Redis evicts nothing (maxmemory-policy noeviction), then run the features DAG again"
    )


def test_a_snapshot_that_lost_rows_is_refused(server: RedisServer) -> None:
    RedisPublisher(server.url).fill(*PLACE, PAIRS)
    with server.client as client:
        client.hdel(KEY, "3", "4")
    with pytest.raises(SnapshotError, match=r"holds 23 of 25 rows of snapshot first of online_store_contract\. Remedy"):
        RedisStore(server.url, *PLACE)


def test_two_rows_of_one_id_are_refused(server: RedisServer) -> None:
    with pytest.raises(SnapshotError, match="holds 25 rows of snapshot first, 26 were written"):
        RedisPublisher(server.url).fill(*PLACE, [*PAIRS, PAIRS[0]])


@pytest.mark.parametrize("entity_id", ["3", "no such id"])
def test_an_evicted_snapshot_is_an_error_and_no_miss(server: RedisServer, entity_id: str) -> None:
    RedisPublisher(server.url).fill(*PLACE, PAIRS)
    store = RedisStore(server.url, *PLACE)
    with server.client as client:
        client.delete(KEY)
    with pytest.raises(SnapshotError, match="does not hold the rows of snapshot first"):
        store.get(entity_id)


def test_a_server_without_memory_says_so(server: RedisServer) -> None:
    publisher = RedisPublisher(server.url)
    with server.client as client:
        client.config_set("maxmemory", 1)
    with pytest.raises(RedisUnavailable) as error:
        publisher.fill(*PLACE, PAIRS)
    assert str(error.value) == (
        f"Redis at 127.0.0.1:{server.port} has no memory left. Remedy: raise its maxmemory, or keep fewer snapshots"
    )


def test_only_the_attempts_that_the_lake_knows_are_kept(server: RedisServer) -> None:
    publisher = RedisPublisher(server.url)
    places = [("a", "attempt-1"), ("a", "attempt-2"), ("b", "attempt-3")]
    for place in places:
        publisher.fill("toy", *place, PAIRS)
    publisher.fill("toy_2", "a", "attempt-1", PAIRS)

    assert publisher.keep_only("toy", lambda: {places[1], places[2], ("c", "attempt-4")}) == 1
    assert publisher.keep_only("toy", lambda: {places[1], places[2]}) == 0

    with server.client as client:
        assert sorted(client.keys("*")) == [
            b"mlops:toy:a:attempt-2",
            b"mlops:toy:b:attempt-3",
            b"mlops:toy_2:a:attempt-1",
        ]


def test_a_server_that_stops_and_comes_back(server: RedisServer) -> None:
    RedisPublisher(server.url).fill(*PLACE, PAIRS)
    store = RedisStore(server.url, *PLACE)
    server.stop()
    with pytest.raises(
        RedisUnavailable, match=rf"Redis at 127\.0\.0\.1:{server.port} did not answer \(ConnectionError\)"
    ):
        store.get("3")
    server.start()
    RedisPublisher(server.url).fill(*PLACE, PAIRS)
    assert store.get_raw(b"3") == PAIRS[3][1]


def test_a_publication_outlives_a_connection_that_was_cut(server: RedisServer) -> None:
    publisher = RedisPublisher(server.url)
    with server.client as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert publisher.fill(*PLACE, PAIRS) == 25


def test_a_server_that_hangs_is_given_up_at_the_deadline(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    RedisPublisher(server.url).fill(*PLACE, PAIRS)
    monkeypatch.setattr(redis, "LOOKUP_SECONDS", 0.25)
    store = RedisStore(server.url, *PLACE)
    with server.paused(), pytest.raises(RedisUnavailable, match=r"did not answer \(TimeoutError\)"):
        store.get("3")
    # what the server answered too late is not taken for the answer to the next question
    monkeypatch.undo()
    assert RedisStore(server.url, *PLACE).get_raw_many([b"4", b"no"]) == [PAIRS[4][1], None]
    assert store.get_raw(b"no") is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://me:{password}@127.0.0.1:1/0", "MLOPS_ONLINE_STORE_URL is no URL of a Redis server"),
        ("redis://me:{password}@127.0.0.1:1/0?no_such_option=1", "MLOPS_ONLINE_STORE_URL is no URL of a Redis server"),
        ("redis://me:{password}@127.0.0.1:port/0", "MLOPS_ONLINE_STORE_URL is no URL of a Redis server"),
        ("redis://me:{password}@127.0.0.1:1/0", "Redis at 127.0.0.1:1 did not answer (ConnectionError)"),
        ("unix:///no/such/socket?password={password}", "Redis at /no/such/socket did not answer (ConnectionError)"),
    ],
)
def test_an_error_names_the_address_and_never_the_password(url: str, told: str) -> None:
    with pytest.raises(RedisUnavailable) as error:
        RedisPublisher(url.format(password=PASSWORD))
    assert error.value.what == told
    assert PASSWORD not in "".join(traceback.format_exception(error.value))


def test_a_wrong_password_is_told_from_a_server_that_is_down(server: RedisServer) -> None:
    with pytest.raises(RedisUnavailable) as error:
        RedisPublisher(server.url.replace(PASSWORD, "wrong"))
    assert error.value.what == f"Redis at 127.0.0.1:{server.port} refuses the user or the password"
