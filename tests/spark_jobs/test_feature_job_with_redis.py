"""The feature job where lookups are to be answered from Redis."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest, Snapshots
from mlops_platform.online_store import FeatureRow
from mlops_platform.online_store.published import published_store
from mlops_platform.online_store.redis import RedisStore
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.api.gate import create_app
from spark_jobs import feature_job
from spark_jobs.feature_job import Failure
from spark_jobs.session import configure
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.spark import WriteLoans

RunJob = Callable[[str], Failure | None]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        monkeypatch.setenv("MLOPS_ONLINE_STORE_URL", server.url)
        monkeypatch.setattr("mlops_platform.online_store.redis.LOOKUP_SECONDS", 5.0)  # the machine may be busy
        yield server


@pytest.fixture
def snapshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snapshots:
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("MLOPS_SNAPSHOTS_KEPT", "2")
    return Snapshots(Lake(tmp_path / "state" / "lake"), "credit_risk")


@pytest.fixture
def run(
    hive: SparkSession, server: RedisServer, snapshots: Snapshots, credit_risk: UseCase, write_loans: WriteLoans
) -> RunJob:
    """Runs the job on three loans of two customers; returns its failure, None if it went well."""
    loans: tuple[dict[str, Any], ...] = ({"loan_id": 1}, {"loan_id": 2, "loan_amount": 7.5}, {"loan_id": 3, "id": 8})
    Datasets(snapshots.lake, credit_risk).add(write_loans(*loans))
    configure(hive, partitions=2)

    def run_job(run_id: str) -> Failure | None:
        arguments = ["--use-case", "credit_risk", "--dataset-version", "0", "--run-id", run_id]
        return feature_job.failure_of(feature_job.parse([*arguments, "--run-date", "2021-01-01"]), lambda _: hive)

    return run_job


def current(snapshots: Snapshots) -> SnapshotManifest:
    manifest = snapshots.current()
    assert manifest is not None
    return manifest


def rows(store: RedisStore) -> list[FeatureRow | None]:
    try:
        return store.get_many(["7", "8", "9"])
    finally:
        store.close()


def keys(server: RedisServer) -> set[str]:
    with server.client as client:
        return {key.decode() for key in client.keys("*")}


def test_redis_is_filled_with_what_the_file_holds_and_emptied_of_what_is_kept_no_more(
    run: RunJob, server: RedisServer, snapshots: Snapshots
) -> None:
    places = []
    for run_id in ("first", "second", "third", "third"):  # the last is a rerun: an attempt that replaces another
        assert run(run_id) is None
        manifest = current(snapshots)
        places.append(f"mlops:credit_risk:{manifest.snapshot}:{manifest.attempt}")
        found = rows(RedisStore(server.url, "credit_risk", manifest.snapshot, manifest.attempt))
        with published_store(snapshots.lake, manifest) as store:
            assert found == store.get_many(["7", "8", "9"])
        assert [row and row.entity_id for row in found] == ["7", "8", None]
    assert keys(server) == {places[1], places[3]}


@pytest.mark.anyio
async def test_the_service_answers_from_what_the_job_put_into_redis(run: RunJob, server: RedisServer) -> None:
    assert run("first") is None
    service = create_app(PlatformSettings(mlflow_port=1, _env_file=None))
    transport = httpx.ASGITransport(service)
    async with service.running(), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        found = (await client.get("/features/7")).json()
        with server.client as redis:
            (key,) = redis.keys("*")
            redis.hset(key, "7", '{"feature_date":null,"features":{"changed":1}}')
        changed = (await client.get("/features/7")).json()
        server.stop()
        from_the_file = (await client.get("/features/7")).json()
    assert found == from_the_file
    assert found["nb_previous_loans"] == 0
    assert changed == {"changed": 1}


def test_a_redis_that_is_down_fails_the_run_before_anything_is_published(
    run: RunJob, server: RedisServer, snapshots: Snapshots
) -> None:
    assert run("first") is None
    before = current(snapshots)
    server.stop()

    failure = run("second")

    assert failure == Failure(
        f"Redis at 127.0.0.1:{server.port} did not answer (ConnectionError). Remedy: see that it runs and "
        "MLOPS_ONLINE_STORE_URL names it, or leave that out for the embedded store",
        transient=True,
    )
    assert PASSWORD not in failure.message
    assert current(snapshots) == before
    assert snapshots.attempts() == {(before.snapshot, before.attempt)}


def test_what_a_run_without_memory_left_behind_makes_room_for_the_next(
    run: RunJob, server: RedisServer, snapshots: Snapshots
) -> None:
    with server.client as client:
        client.hset("mlops:credit_risk:gone:attempt-0", "1", "{}")
        client.config_set("maxmemory", 1)

    assert run("first") == Failure(
        f"Redis at 127.0.0.1:{server.port} has no memory left. Remedy: raise its maxmemory, or keep fewer snapshots",
        transient=False,
    )
    assert (keys(server), snapshots.current()) == (set(), None)
