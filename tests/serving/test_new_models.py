"""New models and snapshots while the service answers, with MLflow's own registry and worker processes of their own."""

import asyncio
import collections
import contextlib
import resource
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.models.registry import ModelRegistry
from mlops_platform.models.verdict import Decision
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase
from serving.follow.last_good import LastGood
from serving.paths import serving_paths
from tests.processes import free_port, wait_until
from tests.serving.conftest import ADMIN, Mlops, Serve, Trained
from tests.serving.installation import ROWS, publish_snapshot, write_model
from tests.serving.processes import Registry, service_process
from tests.serving.test_lookups_and_predictions import expected_probability

# MLflow alone takes ten seconds to start, and a minute on a machine that does other things
pytestmark = pytest.mark.timeout(600)

ENTITY = "5008804"


@pytest.fixture(scope="module")
def server(mlflow_url: str) -> Registry:
    return Registry(mlflow_url)


@pytest.fixture
def registry(server: Registry) -> Iterator[Registry]:
    """An empty registry."""
    yield server
    server.clear("credit_risk")


@pytest.fixture
def connected(settings: PlatformSettings, registry: Registry, credit_risk: UseCase) -> PlatformSettings:
    """An installation with a snapshot, and a registry that answers."""
    changes = {"mlflow_port": int(registry.url.rpartition(":")[2]), "serving_port": free_port()}
    connected = settings.model_copy(update=changes)
    connected.model_fields_set.update(changes)
    publish_snapshot(connected, credit_risk, "first")
    return connected


@dataclass
class Load:
    """Requests on several connections until told to stop, and every answer to them."""

    settings: PlatformSettings
    answers: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            # a connection of its own each time, so that every worker gets its share
            try:
                answer = httpx.get(f"{self.settings.serving_url}/predict/{ENTITY}", trust_env=False, timeout=10)
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code != 200:
                self.failures.append(answer.text)
            else:
                self.answers.append(answer.json())

    def seen(self, **members: str) -> bool:
        """The last answers all have these members."""
        last = self.answers[-40:]
        return len(self.answers) > 40 and all(
            answer[name] == value for answer in last for name, value in members.items()
        )


def test_promotion_rollback_and_publication_under_load_fail_nothing_and_mix_nothing(
    connected: PlatformSettings, registry: Registry, credit_risk: UseCase, forest: Trained, regression: Trained
) -> None:
    registry.register("credit_risk", forest.folder)
    registry.point("credit_risk", "champion", "1")
    moved = [FeatureRow(row.entity_id, row.feature_date, {**row.features, "nb_previous_loans": 59}) for row in ROWS]
    settings = connected.model_copy(update={"serving_workers": 2})
    settings.model_fields_set.add("serving_workers")
    with service_process(settings), Load(settings) as load:
        wait_until(lambda: load.seen(model_version="1", snapshot="first"), "the first version answers")
        registry.point("credit_risk", "champion", registry.register("credit_risk", regression.folder))
        wait_until(lambda: load.seen(model_version="2"), "the second version answers everywhere", 30)
        publish_snapshot(settings, credit_risk, "second", moved)
        wait_until(lambda: load.seen(snapshot="second"), "the second snapshot answers everywhere", 15)
        back = httpx.post(f"{settings.serving_url}/admin/credit_risk/rollback", headers=ADMIN, trust_env=False)
        assert back.json() == {"use_case": "credit_risk", "champion": "1", "before": "2"}
        wait_until(lambda: load.seen(model_version="1", snapshot="second"), "the rollback reached every worker", 30)
    assert load.failures == []
    found = collections.defaultdict(set)
    for answer in load.answers:
        found[answer["model_version"], answer["snapshot"]].add(answer["probability"])
    assert {key: len(values) for key, values in found.items()} == dict.fromkeys(found, 1)
    assert set(found) == {("1", "first"), ("2", "first"), ("2", "second"), ("1", "second")}
    assert found["1", "first"].pop() == pytest.approx(expected_probability(forest, ENTITY), abs=1e-9)
    assert found["2", "first"].pop() == pytest.approx(expected_probability(regression, ENTITY), abs=1e-9)


def test_mlops_rolls_back_to_the_champion_before_and_forward_by_name(
    connected: PlatformSettings,
    registry: Registry,
    credit_risk: UseCase,
    forest: Trained,
    regression: Trained,
    *,
    mlops: Mlops,
) -> None:
    def rollback(*to: str) -> tuple[int, str, str]:
        return mlops(connected, "rollback", "credit_risk", *to)

    def answering() -> str:
        answer = httpx.get(f"{connected.serving_url}/predict/{ENTITY}", trust_env=False)
        return str(answer.json()["model_version"])

    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    with service_process(connected):
        wait_until(lambda: answering() == "1", "the first version answers", 30)
        code, _, said = rollback()
        assert (code, "answered 409: credit_risk had no champion before the present one" in said) == (1, True)
        registry.point("credit_risk", "champion", registry.register("credit_risk", regression.folder))
        wait_until(lambda: answering() == "2", "the promoted version answers", 30)
        assert rollback() == (0, "champion is version 1, before it was 2\n", "")
        assert answering() == "1"
        assert rollback("--to", "2") == (0, "champion is version 2, before it was 1\n", "")
        assert answering() == "2"
        refused = (
            "error: the prediction service answered 409: credit_risk has no model version 9; registered: 1, 2. Remedy: "
            "name one of these, or train first\n"
        )
        assert rollback("--to", "9") == (1, "", refused)
        another = connected.state_dir / "another"
        write_model(another, credit_risk, forest.pipeline, "another_forest")
        rejected = registry.register("credit_risk", another, Decision.REJECTED)
        code, _, said = rollback("--to", rejected)
        assert (code, f"version {rejected} of credit_risk is not accepted" in said) == (1, True)
        assert answering() == "2"
        assert rollback() == (0, "champion is version 1, before it was 2\n", "")
        assert rollback() == (0, "champion is version 1, before it was 1\n", ""), "done twice, it is done once"
        assert answering() == "1"
        with ModelRegistry(connected.mlflow_url) as client:
            assert client.aliases_of("credit_risk") == {"champion": "1", "previous": "2", "best": "1"}


def damaged(model: Path, folder: Path, file: str) -> Path:
    shutil.copytree(model, folder)
    with (folder / file).open("ab") as content:
        content.write(b" ")
    return folder


@pytest.mark.anyio
async def test_a_damaged_version_is_refused_and_the_reason_shows(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.register("credit_risk", forest.folder)
    registry.point("credit_risk", "champion", "1")
    async with serve(connected) as (client, service):
        assert (await client.get(f"/predict/{ENTITY}")).json()["model_version"] == "1"
        registry.register("credit_risk", damaged(regression.folder, connected.state_dir / "changed", "model.onnx"))
        registry.point("credit_risk", "champion", "2")
        await service.runtime.followers["credit_risk"].follow_models()
        answer = (await client.get(f"/predict/{ENTITY}")).json()
        ready = await client.get("/readyz", headers=ADMIN)
        rollback = await client.post("/admin/credit_risk/rollback", headers=ADMIN, json={"version": "2"})
    assert answer["model_version"] == "1"
    state = ready.json()["use_cases"]["credit_risk"]
    assert (ready.status_code, state["status"], state["model_version"]) == (200, "ready", "1")
    assert state["model_refused"].startswith("version 2 was refused: ")
    assert "model.onnx has the sha256" in state["model_refused"]
    assert rollback.status_code == 409


@pytest.mark.anyio
async def test_a_restart_without_registry_and_lake_starts_from_the_last_good_copies(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained
) -> None:
    registry.register("credit_risk", forest.folder)
    registry.point("credit_risk", "champion", "1")
    async with serve(connected) as (client, _):
        before = (await client.get(f"/predict/{ENTITY}")).json()
    shutil.rmtree(connected.lake_root)
    async with serve(connected.model_copy(update={"mlflow_port": 1})) as (client, _):
        after = (await client.get(f"/predict/{ENTITY}")).json()
        ready = (await client.get("/readyz", headers=ADMIN)).json()
    assert before.pop("request_id") != after.pop("request_id")
    assert after == before
    assert (ready["status"], ready["registry"]["reachable"]) == ("ready", False)


@pytest.mark.anyio
async def test_a_copy_that_was_tampered_with_is_not_started_from(serve: Serve, installation: PlatformSettings) -> None:
    (model,) = (installation.state_dir / "serving" / "models" / "credit_risk").glob("*/model.onnx")
    model.write_bytes(model.read_bytes() + b" ")
    async with serve(installation) as (client, _):
        answer = await client.get(f"/predict/{ENTITY}")
        ready = (await client.get("/readyz", headers=ADMIN)).json()
    assert answer.status_code == 503
    assert "model.onnx has the sha256" in ready["use_cases"]["credit_risk"]["model_refused"]


@pytest.mark.anyio
async def test_a_share_of_the_ids_goes_to_the_challenger_and_stays_there(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    credit_risk = get_use_case("credit_risk")
    ids = [str(5_000_000 + number) for number in range(10_000)]
    publish_snapshot(connected, credit_risk, "many", [FeatureRow(i, None, dict(ROWS[0].features)) for i in ids])
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    registry.point("credit_risk", "challenger", registry.register("credit_risk", regression.folder))
    async with serve(connected) as (client, _):
        route = {"challenger_share": 0.1, "shadow": False}
        assert (await client.put("/admin/credit_risk/routing", headers=ADMIN, json=route)).json() == route

        async def challengers() -> list[str]:
            parts = [ids[start : start + 1000] for start in range(0, len(ids), 1000)]
            answers = [(await client.post("/predict", json={"ids": part})).json() for part in parts]
            members = [member for answer in answers for member in answer["predictions"]]
            assert {(m["variant"], m["model_version"]) for m in members} == {("champion", "1"), ("challenger", "2")}
            return [member["id"] for member in members if member["variant"] == "challenger"]

        chosen = await challengers()
        assert await challengers() == chosen
        assert 900 < len(chosen) < 1100
        assert (await client.get(f"/predict/{chosen[0]}")).json()["variant"] == "challenger"


@pytest.mark.anyio
async def test_a_shadow_is_logged_and_not_served_and_replay_gives_both_again(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    registry.point("credit_risk", "challenger", registry.register("credit_risk", regression.folder))
    settings = connected.model_copy(update={"serving_log_bound_seconds": 0.0})
    async with serve(settings) as (client, _):
        route = {"challenger_share": 0.0, "shadow": True}
        await client.put("/admin/credit_risk/routing", headers=ADMIN, json=route)
        answer = (await client.get(f"/predict/{ENTITY}")).json()
        replayed = await client.get(f"/admin/replay/{answer['request_id']}", headers=ADMIN)
        unknown = await client.get("/admin/replay/0123456789abcdef", headers=ADMIN)
    assert (answer["variant"], answer["model_version"]) == ("champion", "1")
    assert unknown.status_code == 404
    served, shadow = replayed.json()["answers"]
    assert served["recorded"] == {"prediction": answer["prediction"], "probability": answer["probability"]}
    assert (served["served"], served["variant"], served["same"], served["features_from"]) == (
        *(True, "champion", True),
        "snapshot",
    )
    assert (shadow["served"], shadow["variant"], shadow["same"]) == (False, "challenger", True)
    assert shadow["recorded"]["probability"] == pytest.approx(expected_probability(regression, ENTITY), abs=1e-9)


async def answering(client: httpx.AsyncClient) -> str:
    found: str = (await client.get(f"/predict/{ENTITY}")).json()["model_version"]
    return found


async def model_refused(client: httpx.AsyncClient) -> str | None:
    found: str | None = (await client.get("/readyz", headers=ADMIN)).json()["use_cases"]["credit_risk"]["model_refused"]
    return found


@pytest.mark.anyio
async def test_a_model_that_cannot_be_noted_is_served_once_it_can_be_and_the_reason_shows_until_then(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    note = serving_paths(connected).last_good("credit_risk")
    async with serve(connected) as (client, service):
        assert (await answering(client), await model_refused(client)) == ("1", None)
        noted = note.read_bytes()
        note.unlink()
        note.mkdir()  # writing it fails now, as on a disk that is full
        registry.point("credit_risk", "champion", registry.register("credit_risk", regression.folder))
        await service.runtime.followers["credit_risk"].follow_models()
        assert await answering(client) == "1"
        assert str(await model_refused(client)).startswith("version 2 waits: it cannot be noted that it is served: ")
        note.rmdir()
        note.write_bytes(noted)
        await service.runtime.followers["credit_risk"].follow_models()
        assert (await answering(client), await model_refused(client)) == ("2", None)
    assert [one.version for one in LastGood.model_validate_json(note.read_bytes()).champions] == ["1", "2"]


@pytest.mark.anyio
@pytest.mark.usefixtures("asked_at_each_poll")
async def test_a_model_for_which_there_is_no_room_is_served_once_there_is(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    async with serve(connected) as (client, service):
        registry.point("credit_risk", "champion", registry.register("credit_risk", regression.folder))
        with no_room_for_files_larger_than(1000):
            await service.runtime.followers["credit_risk"].follow_models()
            assert await answering(client) == "1"
            assert str(await model_refused(client)).startswith("version 2 was refused: [Errno 27] File too large")
        await service.runtime.followers["credit_risk"].follow_models()
        assert (await answering(client), await model_refused(client)) == ("2", None)


@pytest.mark.anyio
@pytest.mark.usefixtures("asked_at_each_poll")
async def test_a_registry_that_was_reset_is_followed_though_its_numbers_come_again(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    async with serve(connected) as (client, service):
        before = (await client.get(f"/predict/{ENTITY}")).json()
        registry.clear("credit_risk")
        assert registry.register("credit_risk", regression.folder) == "1"
        registry.point("credit_risk", "champion", "1")
        await service.runtime.followers["credit_risk"].follow_models()
        after = (await client.get(f"/predict/{ENTITY}")).json()
        back = await client.post("/admin/credit_risk/rollback", headers=ADMIN)
    assert (before["model_version"], after["model_version"]) == ("1", "1")
    assert before["probability"] == pytest.approx(expected_probability(forest, ENTITY), abs=1e-9)
    assert after["probability"] == pytest.approx(expected_probability(regression, ENTITY), abs=1e-9)
    assert (back.status_code, back.json()["detail"]) == (
        409,
        (
            "version 1 is another model than the one that was champion before. Remedy: name a version; see which there "
            "are with `mlops models list credit_risk`"
        ),
    )


@pytest.mark.anyio
async def test_a_rollback_is_not_undone_by_a_poll_that_was_under_way(
    serve: Serve, connected: PlatformSettings, registry: Registry, forest: Trained, regression: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    asked, may_go_on = threading.Event(), threading.Event()
    ask = ModelRegistry.aliases_of

    def ask_and_wait(self: ModelRegistry, name: str) -> dict[str, str]:
        found = ask(self, name)
        if found.get("champion") == "2":  # as the poll read it, before the rollback
            asked.set()
            may_go_on.wait(60)
        return found

    async with serve(connected) as (client, service):
        follower = service.runtime.followers["credit_risk"]
        registry.point("credit_risk", "champion", registry.register("credit_risk", regression.folder))
        await follower.follow_models()
        assert await answering(client) == "2"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ModelRegistry, "aliases_of", ask_and_wait)
            poll = asyncio.create_task(follower.follow_models())
            await asyncio.to_thread(asked.wait, 60)
        rollback = asyncio.create_task(client.post("/admin/credit_risk/rollback", headers=ADMIN, json={"version": "1"}))
        # time enough for the rollback to be done, if it does not wait for the poll
        asyncio.get_running_loop().call_later(1, may_go_on.set)
        answer, _ = await asyncio.gather(rollback, poll)
        assert answer.json() == {"use_case": "credit_risk", "champion": "1", "before": "2"}
        assert await answering(client) == "1"


@pytest.mark.anyio
async def test_a_snapshot_of_changed_formulas_is_served_together_with_the_first_champion_that_fits_it(
    serve: Serve, connected: PlatformSettings, registry: Registry, credit_risk: UseCase, forest: Trained
) -> None:
    registry.point("credit_risk", "champion", registry.register("credit_risk", forest.folder))
    changed = "f" * 64
    folder = connected.state_dir / "trained"
    write_model(folder, credit_risk, forest.pipeline, "random_forest", changed)

    async def pair(client: httpx.AsyncClient) -> tuple[str, str]:
        answer = (await client.get(f"/predict/{ENTITY}")).json()
        return answer["snapshot"], answer["model_version"]

    async with serve(connected) as (client, service):
        publish_snapshot(connected, credit_risk, "second", transform=changed)
        await service.runtime.followers["credit_risk"].follow_snapshots()
        assert await pair(client) == ("first", "1")
        registry.point("credit_risk", "champion", registry.register("credit_risk", folder))
        await service.runtime.followers["credit_risk"].follow_models()
        assert await pair(client) == ("second", "2")
        back = await client.post("/admin/credit_risk/rollback", headers=ADMIN)
        assert await pair(client) == ("second", "2")
    assert back.status_code == 409
    assert back.json()["detail"].startswith(
        "it was trained on features that were defined or computed otherwise than those of snapshot second, which is "
        "served. Remedy: go back to a snapshot that it fits first: mlops snapshots rollback credit_risk"
    )
    async with serve(connected.model_copy(update={"mlflow_port": 1})) as (client, _):
        assert await pair(client) == ("second", "2")


@contextlib.contextmanager
def no_room_for_files_larger_than(limit: int) -> Iterator[None]:
    """Every write of this process beyond so many bytes of a file fails, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def asked_at_each_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry is asked for a version's digest at each poll."""
    monkeypatch.setattr("serving.follow.models._ASK_AGAIN_SECONDS", 0.0)
