"""Answers that are given again, from what is kept of the time."""

import shutil
from typing import Any

import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.paths import serving_paths
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS, keep_model, publish_snapshot

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer an admin token"}


async def test_a_request_is_replayed_from_a_snapshot_that_is_served_no_more(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    settings = installation.model_copy(update={"serving_log_bound_seconds": 0.0})
    async with serve(settings) as (client, service):
        given = (await client.post("/predict", json={"ids": ["5008806", "1", "5008804"]})).json()
        rows = (await client.post("/predict", json={"rows": [ROWS[1].features]})).json()
        publish_snapshot(settings, credit_risk, "second", ROWS[:1])
        await service.runtime.followers["credit_risk"].follow_snapshots()
        assert service.runtime.served["credit_risk"].snapshot_id == "second"

        async def replayed(request_id: str) -> list[dict[str, Any]]:
            answer = await client.get(f"/admin/replay/{request_id}", headers=ADMIN)
            found: list[dict[str, Any]] = answer.json()["answers"]
            return found

        of_ids, of_rows = await replayed(given["request_id"]), await replayed(rows["request_id"])
    members = ("position", "id", "snapshot", "features_from", "same")
    assert [tuple(one[name] for name in members) for one in of_ids] == [
        (0, "5008806", "first", "snapshot", True),
        (2, "5008804", "first", "snapshot", True),
    ]
    assert [tuple(one[name] for name in members) for one in of_rows] == [(0, None, "first", "log", True)]
    assert of_ids[1]["replayed"]["probability"] == given["predictions"][2]["probability"]


async def test_a_record_of_another_model_of_the_same_number_is_not_replayed_by_it(
    serve: Serve, installation: PlatformSettings, regression: Trained
) -> None:
    settings = installation.model_copy(update={"serving_log_bound_seconds": 0.0})
    async with serve(settings) as (client, _):
        asked = (await client.get("/predict/5008804")).json()["request_id"]
    shutil.rmtree(serving_paths(settings).models("credit_risk"))
    serving_paths(settings).last_good("credit_risk").unlink()
    keep_model(settings, "credit_risk", "1", regression.folder, alias="champion")  # as after a reset of the registry
    async with serve(settings) as (client, _):
        assert (await client.get("/predict/5008804")).json()["model_version"] == "1"
        answer = await client.get(f"/admin/replay/{asked}", headers=ADMIN)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:mlops:problem:replay-impossible")
