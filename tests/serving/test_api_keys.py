"""Who may ask, when."""

import asyncio
import stat
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from serving.api.keys import ApiKeys, Caller, add_key, remove_key
from serving.api.overload import TURNS_AT_ONCE
from serving.paths import serving_paths
from tests.serving.conftest import ADMIN, Serve

BOUND_TO_ALL = {"bind_address": "0.0.0.0"}  # noqa: S104


@pytest.mark.parametrize(
    ("changes", "required"),
    [
        ({}, False),
        ({"bind_address": "::1"}, False),
        ({"bind_address": "localhost"}, False),
        (BOUND_TO_ALL, True),
        ({"bind_address": "10.0.0.1"}, True),
        (BOUND_TO_ALL | {"serving_require_api_key": False}, False),
        ({"serving_require_api_key": True}, True),
    ],
)
def test_keys_are_required_off_loopback(
    settings: PlatformSettings, tmp_path: Path, changes: dict[str, object], required: bool
) -> None:
    assert ApiKeys(settings.model_copy(update=changes), tmp_path / "keys.json").required is required


def names(keys: ApiKeys, *shown: str) -> list[str | None]:
    keys.take_in()
    return [caller.name if (caller := keys.caller(key.encode())) else None for key in shown]


def test_keys_are_hashed_and_can_be_rotated(settings: PlatformSettings, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = add_key(path, "old", "read")
    keys = ApiKeys(settings, path)
    assert keys.caller(old.encode()) == Caller("old", "read")
    new = add_key(path, "new", "admin")
    assert old not in path.read_text()
    assert names(keys, old, new) == ["old", "new"]
    remove_key(path, "old")
    assert names(keys, old, new, "") == [None, "new", None]
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH == 0


def test_a_damaged_file_leaves_the_keys_as_they_were_and_is_told_until_it_is_mended(
    settings: PlatformSettings, tmp_path: Path
) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "one", "read")
    content = path.read_text()
    keys = ApiKeys(settings, path)
    path.write_text("{")
    for _ in range(2):  # also where it is looked at again
        assert names(keys, key) == ["one"]
        assert keys.failure is not None
        assert keys.failure.startswith("JSONDecodeError")
    path.write_text(content)
    assert (names(keys, key), keys.failure) == (["one"], None)


def test_an_admin_token_that_is_empty_is_none(settings: PlatformSettings, tmp_path: Path) -> None:
    without = settings.model_copy(update={"serving_admin_token": SecretStr("")})
    assert names(ApiKeys(without, tmp_path / "keys.json"), "") == [None]


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    add_key(tmp_path / "keys.json", "one", "read")
    with pytest.raises(PlatformError, match="there is a key named 'one'"):
        add_key(tmp_path / "keys.json", "one", "read")
    with pytest.raises(PlatformError, match=r"there is no key named 'two'\. Remedy: the keys are: one"):
        remove_key(tmp_path / "keys.json", "two")


@pytest.mark.anyio
async def test_reading_takes_any_key_and_administration_an_admins(serve: Serve, installation: PlatformSettings) -> None:
    settings = installation.model_copy(update=BOUND_TO_ALL)
    reader = add_key(serving_paths(settings).api_keys, "reader", "read")
    bearer = {"authorization": f"Bearer {reader}"}
    admin = {"x-api-key": "an admin token"}
    async with serve(settings) as (client, _):
        statuses = [
            (await client.get(path, headers=headers)).status_code
            for path, headers in (
                ("/predict/5008804", {}),
                ("/predict/5008804", {"authorization": "Bearer wrong"}),
                ("/predict/5008804", bearer),
                ("/predict/?user_id=5008804", {}),
                ("/metrics", {}),
                ("/healthz", {}),
                ("/readyz", {}),
                ("/admin/credit_risk/routing", bearer),
                ("/admin/credit_risk/routing", admin),
            )
        ]
    assert statuses == [401, 401, 200, 401, 401, 200, 200, 403, 200]


@pytest.mark.anyio
async def test_on_loopback_only_administration_asks_for_a_key(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        open_to_all = await client.get("/predict/5008804")
        closed = await client.get("/admin/credit_risk/routing")
    assert open_to_all.status_code == 200
    assert (closed.status_code, closed.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.anyio
async def test_of_several_keys_the_one_that_may_do_most_counts(serve: Serve, installation: PlatformSettings) -> None:
    settings = installation.model_copy(update=BOUND_TO_ALL)
    reader = add_key(serving_paths(settings).api_keys, "reader", "read")
    bearer = f"Bearer {reader}"
    shown: list[list[tuple[str, str]]] = [
        [("x-api-key", ""), ("authorization", bearer)],
        [("x-api-key", "  "), ("authorization", bearer)],
        [("x-api-key", "of another service"), ("authorization", bearer)],
        [("authorization", "Basic dTpw"), ("x-api-key", reader)],
        [("x-api-key", ""), ("authorization", "Bearer ")],
    ]
    async with serve(settings) as (client, _):
        for path in ("/predict/5008804", "/v1/credit_risk/model"):  # with and without the framework
            statuses = [(await client.get(path, headers=headers)).status_code for headers in shown]
            assert statuses == [200, 200, 200, 200, 401]
        both = [("x-api-key", reader), *ADMIN.items()]
        assert (await client.get("/admin/credit_risk/routing", headers=both)).status_code == 200


@pytest.mark.anyio
async def test_a_flood_without_keys_has_no_real_caller_refused(serve: Serve, installation: PlatformSettings) -> None:
    settings = installation.model_copy(update=BOUND_TO_ALL)
    paths = ("/predict/5008804", "/v1/credit_risk/model")
    async with serve(settings) as (client, service):
        service.overload.shedding = True  # as it is found under load
        refused = [(await client.get(path)).status_code for path in paths]
        busy = [(await client.get(path, headers=ADMIN)).status_code for path in paths]
        assert (refused, busy) == ([401, 401], [503, 503])
        service.overload.shedding = False
        # in one turn of the event loop, which is what the beat measures
        await asyncio.gather(*(client.get(paths[at % 2]) for at in range(200)))
        assert service.overload.arrived < TURNS_AT_ONCE


@pytest.mark.anyio
async def test_a_key_that_was_removed_is_worthless_while_every_thread_of_requests_is_busy(
    serve: Serve, installation: PlatformSettings
) -> None:
    settings = installation.model_copy(update=BOUND_TO_ALL)
    path = serving_paths(settings).api_keys
    headers = {"x-api-key": add_key(path, "reader", "read")}
    over = threading.Event()
    async with serve(settings) as (client, _), asyncio.timeout(30):
        busy = [asyncio.create_task(asyncio.to_thread(over.wait)) for _ in range(100)]
        try:
            assert (await client.get("/predict/5008804", headers=headers)).status_code == 200
            remove_key(path, "reader")
            while (await client.get("/predict/5008804", headers=headers)).status_code != 401:
                await asyncio.sleep(0)
        finally:
            over.set()
            await asyncio.gather(*busy)
