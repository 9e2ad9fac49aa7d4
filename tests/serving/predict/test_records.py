"""What is recorded of a request, whoever asks and however."""

from typing import Any

import orjson
import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.paths import serving_paths
from serving.predict.predictor import Asked, look_up_all
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS, keep_model

pytestmark = pytest.mark.anyio

ADMIN = {"authorization": "Bearer an admin token"}


@pytest.fixture
def recorded_at_once(installation: PlatformSettings) -> PlatformSettings:
    return installation.model_copy(update={"serving_log_bound_seconds": 0.0})


def records(settings: PlatformSettings) -> list[dict[str, Any]]:
    segments = serving_paths(settings).log.glob("*.open")
    return [orjson.loads(line) for segment in segments for line in segment.read_bytes().splitlines()]


async def test_a_position_is_the_index_in_the_request_whatever_is_unknown(
    serve: Serve, recorded_at_once: PlatformSettings
) -> None:
    async with serve(recorded_at_once) as (client, _):
        await client.post("/predict", json={"ids": ["1", "5008804", "2", "3", "5008806"]})
        found = [(record["position"], record["id"]) for record in records(recorded_at_once)]
    assert found == [(1, "5008804"), (4, "5008806")]


async def test_a_shadow_has_the_position_of_what_it_stands_beside(
    serve: Serve, recorded_at_once: PlatformSettings, regression: Trained
) -> None:
    keep_model(recorded_at_once, "credit_risk", "2", regression.folder, alias="challenger")
    async with serve(recorded_at_once) as (client, _):
        route = {"challenger_share": 0.0, "shadow": True}
        assert (await client.put("/admin/credit_risk/routing", headers=ADMIN, json=route)).status_code == 200
        await client.post("/predict", json={"ids": ["1", "5008804"]})
        found = [(record["position"], record["id"], record["served"]) for record in records(recorded_at_once)]
    assert found == [(1, "5008804", True), (1, "5008804", False)]


async def test_rows_that_were_looked_up_are_predicted_as_those_ids(
    serve: Serve, recorded_at_once: PlatformSettings, credit_risk: UseCase, regression: Trained
) -> None:
    keep_model(recorded_at_once, "credit_risk", "2", regression.folder, alias="challenger")
    ids = [row.entity_id for row in ROWS]
    async with serve(recorded_at_once) as (client, service):
        route = {"challenger_share": 1.0, "shadow": False}
        assert (await client.put("/admin/credit_risk/routing", headers=ADMIN, json=route)).status_code == 200
        served = service.runtime.served[credit_risk.name]
        nameless = Asked(None, None, ROWS[0].features)
        found = await service.runtime.predictor.predict(served, [*await look_up_all(served, ids), nameless], "a1")
        lines = [(line["id"], line["feature_date"], line["variant"]) for line in records(recorded_at_once)]
    assert [one.variant for one in found] == [*["challenger"] * 3, "champion"]
    days = [row.feature_date.isoformat() for row in ROWS if row.feature_date]
    assert lines == [*((i, day, "challenger") for i, day in zip(ids, days, strict=True)), (None, None, "champion")]
