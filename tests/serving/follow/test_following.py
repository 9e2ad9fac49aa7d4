"""What is taken in while the service runs, what at its start, and what is refused."""

import asyncio
import datetime as dt
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.manifest import manifest_sha256
from mlops_platform.models.registry import MANIFEST_TAG
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import Split, UseCase
from serving.api.gate import Service
from serving.follow import task
from serving.follow.snapshots import SnapshotFollower
from serving.follow.task import FollowingTask
from serving.paths import serving_paths
from tests.processes import wait_until
from tests.scripted_server import ScriptedServer
from tests.serving.conftest import ADMIN, Serve, Trained
from tests.serving.installation import keep_model, publish_snapshot, write_model

pytestmark = pytest.mark.anyio

ENTITY = "5008804"
PATIENCE_SECONDS = 30


async def state(client: httpx.AsyncClient, use_case: str = "credit_risk") -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/readyz", headers=ADMIN)).json()["use_cases"][use_case]
    return found


async def follow_snapshots(service: Service, use_case: str = "credit_risk") -> None:
    await service.runtime.followers[use_case].follow_snapshots()


async def test_a_follower_that_fails_unforeseen_is_told_and_tried_again_and_stops_no_other(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = credit_risk.model_copy(update={"name": "other", "short_paths": ()})
    broken = True
    poll = SnapshotFollower.poll

    def poll_or_fail(self: SnapshotFollower) -> None:
        if broken and self._use_case.name == "other":
            raise KeyError("nobody thought of it")
        poll(self)

    monkeypatch.setattr(SnapshotFollower, "poll", poll_or_fail)
    publish_snapshot(installation, other, "its_own")
    async with serve(installation, (other, credit_risk)) as (client, service):
        failed = (await state(client, "other"))["following_failed"]
        assert failed == {"other snapshots": "KeyError: 'nobody thought of it'; it is tried again"}
        assert (await state(client))["following_failed"] == {}
        publish_snapshot(installation, credit_risk, "second")
        served = service.runtime.served
        await eventually(lambda: served["credit_risk"].snapshot_id == "second", "the other use case follows")
        broken = False
        await eventually(lambda: served["other"].snapshot_id == "its_own", "it is tried again")
        assert (await state(client, "other"))["following_failed"] == {}


async def eventually(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what, PATIENCE_SECONDS)


async def test_a_failing_task_is_tried_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    outcomes = iter([*[ValueError("broken")] * 9, None, None])

    async def step() -> None:
        if isinstance(failure := next(outcomes), Exception):
            raise failure

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 11:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", pause)
    following = FollowingTask("toy", step, 0.5)
    with pytest.raises(asyncio.CancelledError):
        await following.run()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 0.5, 0.5]
    assert following.failure is None


async def test_a_step_that_does_not_come_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "LONGEST_STEP_SECONDS", -1.0)
    under_way = asyncio.Event()

    async def step() -> None:
        under_way.set()
        await asyncio.Event().wait()

    following = FollowingTask("toy", step, 0.5)
    running = asyncio.create_task(following.run())
    await under_way.wait()
    assert following.failure == "a step has been under way for 0 s"
    running.cancel()


@pytest.fixture
def fingerprinted(
    settings: PlatformSettings, credit_risk: UseCase, forest: Trained, tmp_path: Path
) -> PlatformSettings:
    """An installation whose snapshot and champion say by which formulas they were computed: the same ones."""
    transform = "f" * 64
    write_model(tmp_path / "model", credit_risk, forest.pipeline, "random_forest", transform)
    publish_snapshot(settings, credit_risk, "first", transform=transform)
    keep_model(settings, "credit_risk", "1", tmp_path / "model", alias="champion")
    return settings


async def test_edited_words_change_nothing_of_what_is_served(
    serve: Serve, fingerprinted: PlatformSettings, credit_risk: UseCase
) -> None:
    first = credit_risk.features[0].model_copy(update={"meaning": "other words", "example": 40})
    edited = credit_risk.model_copy(
        update={"description": "other words", "title": "Other", "features": (first, *credit_risk.features[1:])}
    )
    async with serve(fingerprinted, (edited,)) as (client, _):
        assert (await client.get(f"/predict/{ENTITY}")).status_code == 200
        found = await state(client)
    assert (found["status"], found["snapshot_refused"], found["model_refused"]) == ("ready", None, None)


async def test_a_changed_split_refuses_the_snapshots_and_champions_of_before(
    serve: Serve, fingerprinted: PlatformSettings, credit_risk: UseCase
) -> None:
    changed = credit_risk.model_copy(update={"split": Split(by="random", holdout_fraction=0.5)})
    async with serve(fingerprinted, (changed,)) as (client, _):
        assert (await client.get(f"/predict/{ENTITY}")).status_code == 503
        found = await state(client)
    assert found["snapshot_refused"].startswith(
        "snapshot first was made for another version of the spec of credit_risk. Remedy: run the features DAG again"
    )
    assert "was trained for another spec hash" in found["model_refused"]


async def test_features_of_other_names_are_refused_though_an_old_manifest_does_not_say_so(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    renamed = credit_risk.features[0].model_copy(update={"name": "years"})
    changed = credit_risk.model_copy(update={"features": (renamed, *credit_risk.features[1:])})
    async with serve(installation, (changed,)) as (client, _):
        found = await state(client)
    assert found["snapshot_refused"].startswith(
        "snapshot first has the features age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, "
        "flag_own_car; the spec of credit_risk says years, years_on_the_job"
    )


async def test_a_snapshot_that_no_champion_fits_waits_and_going_back_to_the_served_one_is_quiet(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    snapshots = Snapshots(Lake(installation.lake_root), "credit_risk")
    first = snapshots.get("first")
    async with serve(installation) as (client, service):
        publish_snapshot(installation, credit_risk, "second", transform="f" * 64)
        await follow_snapshots(service)
        answer, found = (await client.get(f"/predict/{ENTITY}")).json(), await state(client)
        assert (answer["snapshot"], found["status"]) == ("first", "ready")
        assert found["snapshot_refused"] == (
            "snapshot second waits: its features are defined or computed otherwise than those of what it would be "
            "served with"
        )
        with snapshots.republishing():
            snapshots.make_current(first)
        await follow_snapshots(service)
        assert (await state(client))["snapshot_refused"] is None
        assert (await client.get(f"/predict/{ENTITY}")).json()["snapshot"] == "first"


async def test_a_quiet_week_makes_nothing_stale_if_somebody_looked(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    now = dt.datetime.now(dt.UTC)
    made = now - dt.timedelta(days=credit_risk.stale_after_days, minutes=1)
    publish_snapshot(installation, credit_risk, "old", created_at=made)
    async with serve(installation) as (client, service):
        assert (await client.get(f"/predict/{ENTITY}")).json()["stale"] is True
        Snapshots(Lake(installation.lake_root), "credit_risk").note_check(now)
        await follow_snapshots(service)
        assert (await client.get(f"/predict/{ENTITY}")).json()["stale"] is False
        assert (await client.get(f"/features/{ENTITY}")).headers["x-stale"] == "false"


async def test_an_online_store_that_was_changed_is_refused_and_not_read_again_at_once(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(installation) as (client, service):
        manifest = publish_snapshot(installation, credit_risk, "second")
        damage(installation.lake_root / manifest.online_path)
        await follow_snapshots(service)
        assert (await client.get(f"/predict/{ENTITY}")).json()["snapshot"] == "first"
        found = await state(client)
        assert found["snapshot_refused"].startswith(f"{manifest.online_path} has the sha256 ")
        with monkeypatch.context() as patch:
            patch.delattr("mlops_platform.lake.lake.Lake.local_copy")  # so that a further reading would fail otherwise
            await follow_snapshots(service)
            assert await state(client) == found


async def test_a_copy_that_was_changed_is_taken_from_the_lake_again(
    serve: Serve, installation: PlatformSettings
) -> None:
    async with serve(installation) as (client, _):
        before = (await client.get(f"/predict/{ENTITY}")).json()
    (copy,) = (installation.state_dir / "serving" / "snapshots" / "credit_risk").glob("*.lmdb")
    content = copy.read_bytes()
    damage(copy)
    async with serve(installation) as (client, _):
        after = (await client.get(f"/predict/{ENTITY}")).json()
    assert copy.read_bytes() == content
    assert after["probability"] == before["probability"]


async def test_what_happens_to_the_file_in_the_lake_does_not_reach_what_is_served(
    serve: Serve, installation: PlatformSettings
) -> None:
    (stored,) = (installation.lake_root / "online" / "credit_risk").rglob("*.lmdb")
    async with serve(installation) as (client, _):
        before = (await client.get(f"/predict/{ENTITY}")).json()
        with stored.open("r+b") as file:
            file.truncate(0)  # a page that is gone ends the process that has it mapped (SIGBUS)
        after = (await client.get(f"/predict/{ENTITY}")).json()
    assert (after["probability"], after["snapshot"]) == (before["probability"], "first")


async def test_a_note_that_leads_out_of_its_folder_is_refused_and_the_lake_is_followed(
    serve: Serve, installation: PlatformSettings
) -> None:
    async with serve(installation):
        pass
    note = serving_paths(installation).last_good("credit_risk")
    last = json.loads(note.read_text())
    last["snapshot"]["attempt"] = "attempt\0"
    note.write_text(json.dumps(last))
    async with serve(installation) as (client, service):
        await eventually(lambda: service.runtime.served["credit_risk"].snapshot_id == "first", "it is served")
        assert (await client.get(f"/predict/{ENTITY}")).status_code == 200


@pytest.mark.parametrize("status", [404, 500])
async def test_an_artifact_that_is_not_to_be_had_keeps_no_other_alias_from_being_followed(
    serve: Serve,
    installation: PlatformSettings,
    server: ScriptedServer,
    credit_risk: UseCase,
    regression: Trained,
    *,
    status: int,
) -> None:
    settings = installation.model_copy(update={"mlflow_port": server.port})
    aliases = [{"alias": alias, "version": version} for alias, version in (("champion", 3), ("challenger", 2))]
    digest = manifest_sha256(regression.folder)
    # of the challenger there is a copy, and of the champion none
    shutil.copytree(regression.folder, serving_paths(settings).models(credit_risk.name) / digest)
    server.on("GET", "/api/2.0/mlflow/registered-models/get", {"registered_model": {"aliases": aliases}})
    server.on("GET", "/api/2.0/mlflow/model-versions/get", registered("3", "0" * 64), registered("2", digest))
    server.on("GET", "/model-versions/get-artifact", {"message": "it is gone"}, status=status)
    async with serve(settings, (credit_risk,)) as (client, _):
        found = await state(client)
        answer = (await client.get(f"/predict/{ENTITY}")).json()
    assert (found["challenger_version"], answer["model_version"]) == ("2", "1")


def registered(version: str, digest: str) -> dict[str, Any]:
    tags = [{"key": MANIFEST_TAG, "value": digest}]
    return {"model_version": {"version": version, "creation_timestamp": 1, "tags": tags}}


async def test_what_is_followed_goes_on_while_every_thread_of_requests_is_busy(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    over = threading.Event()
    async with serve(installation) as (_, service), asyncio.timeout(30):
        busy = [asyncio.create_task(asyncio.to_thread(over.wait)) for _ in range(100)]
        try:
            publish_snapshot(installation, credit_risk, "second")
            while service.runtime.served["credit_risk"].snapshot_id != "second":
                await asyncio.sleep(0.01)
        finally:
            over.set()
            await asyncio.gather(*busy)


def damage(file: Path) -> None:
    with file.open("r+b") as content:
        content.seek(-1, 2)
        content.write(b"x")


async def test_a_routing_that_cannot_be_read_leaves_the_one_before_and_is_told(
    serve: Serve, installation: PlatformSettings
) -> None:
    async with serve(installation) as (client, service):
        file = service.runtime.paths.routing("credit_risk")
        file.parent.mkdir(parents=True)
        for content, share, told in (
            ('{"challenger_share": 0.25, "shadow": true}', 0.25, None),
            (
                '{"challenger_share": 2}',
                0.25,
                "the routing is malformed, the one before stays: Input should be less than or equal to 1",
            ),
            ('{"challenger_share": 0.5}', 0.5, None),
        ):
            file.write_text(content)
            await service.runtime.followers["credit_risk"].follow_routing()
            found = await state(client)
            assert (found["challenger_share"], found["routing_refused"]) == (share, told)
        file.unlink()
        await service.runtime.followers["credit_risk"].follow_routing()
        assert (await state(client))["challenger_share"] == 0
