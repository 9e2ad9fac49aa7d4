"""In a container: who comes through the published port needs no key, other containers do."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.settings import PlatformSettings
from serving.api.gate import create_app
from serving.api.gateway import keyless_address
from tests.serving.conftest import ADMIN

GATEWAY = "172.18.0.1"
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
"""


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("sys.byteorder", "little")  # as the routes above were written
    path = tmp_path / "route"
    path.write_text(ROUTES)
    return path


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, None),
        ({"serving_keyless_gateway": True}, GATEWAY),
        ({"serving_keyless_gateway": True, "serving_require_api_key": True}, None),
    ],
)
def test_the_gateway_needs_no_key_where_the_settings_say_so(
    settings: PlatformSettings, routes: Path, changes: dict[str, Any], address: str | None
) -> None:
    assert keyless_address(settings.model_copy(update=changes), routes) == address


@pytest.mark.parametrize("content", [None, ROUTES.rpartition("eth0")[0]])
def test_where_no_gateway_is_known_everybody_needs_a_key(
    settings: PlatformSettings, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "route"
    if content is not None:
        path.write_text(content)
    assert keyless_address(settings.model_copy(update={"serving_keyless_gateway": True}), path) is None


@pytest.mark.anyio
async def test_only_the_gateway_reads_without_a_key_and_nobody_administers(
    installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.gate.keyless_address", lambda _: GATEWAY)
    service = create_app(installation.model_copy(update={"bind_address": "0.0.0.0"}))  # noqa: S104
    paths = ("/predict/5008804", "/v1/credit_risk/model", "/admin/credit_risk/routing")
    statuses = {}
    async with service.running():
        for address in (GATEWAY, "172.18.0.7"):
            transport = httpx.ASGITransport(service, client=(address, 40000))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                statuses[address] = [(await client.get(path)).status_code for path in paths]
                statuses[address] += [(await client.get(path, headers=ADMIN)).status_code for path in paths]
    assert statuses == {GATEWAY: [200, 200, 401, 200, 200, 200], "172.18.0.7": [401, 401, 401, 200, 200, 200]}
