"""What the service tells of itself: words to everyone, reasons to whoever has a key of the scope admin."""

import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.api.keys import add_key
from serving.paths import serving_paths
from tests.serving.conftest import ADMIN, Serve

pytestmark = pytest.mark.anyio


async def test_reasons_are_for_administrators_and_words_for_everyone(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    reader = {"x-api-key": add_key(serving_paths(installation).api_keys, "reader", "read")}
    (copy,) = (installation.lake_root / "online" / "credit_risk").rglob("*.lmdb")
    copy.write_bytes(b"no store")
    async with serve(installation, (credit_risk,)) as (client, _):
        public = [await client.get("/readyz", headers=headers) for headers in ({}, reader, {"x-api-key": "wrong"})]
        whole = await client.get("/readyz", headers=ADMIN)
    assert [answer.json() for answer in public] == [
        {
            "status": "not ready",
            "problems": ["registry-unreachable"],
            "use_cases": {"credit_risk": {"status": "broken", "problems": ["incomplete", "snapshot-refused"]}},
        }
    ] * 3
    assert [answer.status_code for answer in (*public, whole)] == [503] * 4
    details = whole.json()
    assert str(installation.mlflow_port) in details["registry"]["reason"]
    assert "has the sha256" in details["use_cases"]["credit_risk"]["snapshot_refused"]
    assert details["api_keys"] == {"failure": None}


async def test_a_service_that_is_well_has_no_problems(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.json()["use_cases"]["credit_risk"] == {"status": "ready", "problems": []}


async def test_a_log_that_nobody_writes_any_more_makes_the_service_unready(
    serve: Serve, installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.log.writer.Writer._run", lambda _: None)
    async with serve(installation) as (client, _):
        answer = await client.get("/readyz", headers=ADMIN)
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert answer.json()["prediction_log"]["failure"] == (
        "the thread that writes the prediction log has ended; restart the service"
    )
