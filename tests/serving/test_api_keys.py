"""Who may ask, when."""

import stat
from pathlib import Path

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from serving.api.keys import ApiKeys, Caller, add_key, remove_key
from serving.paths import serving_paths
from tests.serving.conftest import Serve

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


@pytest.fixture
def looking_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time passes until the file of the keys is looked at again."""
    monkeypatch.setattr("serving.api.keys.LOOK_SECONDS", 0)


@pytest.mark.usefixtures("looking_each_time")
def test_keys_are_hashed_and_can_be_rotated(settings: PlatformSettings, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    old = add_key(path, "old", "read")
    keys = ApiKeys(settings, path)
    assert keys.caller(old) == Caller("old", "read")
    new = add_key(path, "new", "admin")
    assert old not in path.read_text()
    assert [keys.caller(key) for key in (old, new)] == [Caller("old", "read"), Caller("new", "admin")]
    remove_key(path, "old")
    assert [keys.caller(key) for key in (old, new, "", None)] == [None, Caller("new", "admin"), None, None]
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH == 0


@pytest.mark.usefixtures("looking_each_time")
def test_a_damaged_file_leaves_the_keys_as_they_were(settings: PlatformSettings, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = add_key(path, "one", "read")
    keys = ApiKeys(settings, path)
    assert keys.caller(key) == Caller("one", "read")
    path.write_text("{")
    assert keys.caller(key) == Caller("one", "read")


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
