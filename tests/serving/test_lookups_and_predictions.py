"""The answers for an id, to the letter, on every path that gives them."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import ADMIN, Serve, Trained
from tests.serving.installation import ROWS, THRESHOLD, publish_snapshot

pytestmark = pytest.mark.anyio

FEATURES = {row.entity_id: row.features for row in ROWS}
HIVE_DOWN = (
    "HiveServer2 at 127.0.0.1:1 did not answer (TTransportException). Remedy: see that HiveServer2 runs and the "
    "features DAG has published: mlops status"
)


def expected_probability(trained: Trained, entity_id: str) -> float:
    row = np.array([list(FEATURES[entity_id].values())], dtype=np.float64)
    return float(trained.pipeline.predict_proba(row)[0, 1])


def without_request_id(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "request_id"}


@pytest.mark.parametrize(
    "path",
    [
        "/features/5008804",
        "/features/?user_id=5008804",
        "/features/5008804?source=online",
        "/v1/credit_risk/features/5008804",
        "/v1/credit_risk/features/5008804?source=online",
    ],
)
async def test_features_are_flat_and_say_where_they_are_from(
    serve: Serve, installation: PlatformSettings, path: str
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.text == (
        '{"age":31,"years_on_the_job":12,"nb_previous_loans":9,"avg_amount_loans_previous":153.12,"flag_own_car":1}'
    )
    headers = {name: answer.headers[name] for name in ("content-type", "x-snapshot", "x-feature-date", "x-stale")}
    assert headers == {
        "content-type": "application/json",
        "x-snapshot": "first",
        "x-feature-date": "2020-11-02",
        "x-stale": "false",
    }
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("entity_id", sorted(FEATURES))
@pytest.mark.parametrize(
    "request_line",
    [
        "GET /predict/{id}",
        "GET /predict/?user_id={id}",
        "GET /v1/credit_risk/predict/{id}",
        "GET /v1/credit_risk/predict/{id}?source=online",
        "POST /predict",
        "POST /v1/credit_risk/predict",
    ],
)
async def test_a_prediction_is_scikit_learns_own(
    serve: Serve, installation: PlatformSettings, forest: Trained, entity_id: str, request_line: str
) -> None:
    method, path = request_line.split()
    async with serve(installation) as (client, _):
        body = {"id": entity_id} if method == "POST" else None
        answer = await client.request(method, path.format(id=entity_id), json=body)
    probability = expected_probability(forest, entity_id)
    found = answer.json()
    assert without_request_id(found) == {
        "id": entity_id,
        "prediction": int(probability >= THRESHOLD),
        "probability": pytest.approx(probability, abs=1e-9),
        "feature_date": next(str(row.feature_date) for row in ROWS if row.entity_id == entity_id),
        "stale": False,
        "variant": "champion",
        "model_version": "1",
        "snapshot": "first",
    }
    assert found["request_id"] == answer.headers["x-request-id"]


async def test_several_ids_are_answered_in_the_order_asked_for(
    serve: Serve, installation: PlatformSettings, forest: Trained
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/v1/credit_risk/predict", json={"ids": ["5008806", "1", 5008804, "5008806"]})
    found = answer.json()
    assert [member["id"] for member in found["predictions"]] == ["5008806", "1", "5008804", "5008806"]
    assert [member["probability"] for member in found["predictions"]] == [
        pytest.approx(expected_probability(forest, "5008806"), abs=1e-9),
        None,
        pytest.approx(expected_probability(forest, "5008804"), abs=1e-9),
        pytest.approx(expected_probability(forest, "5008806"), abs=1e-9),
    ]
    assert found["predictions"][1] == {
        "id": "1",
        "prediction": None,
        "probability": None,
        "feature_date": None,
        "variant": None,
        "model_version": None,
    }
    assert (found["snapshot"], found["stale"]) == ("first", False)


async def test_rows_of_features_are_predicted_without_a_lookup(
    serve: Serve, settings: PlatformSettings, installation: PlatformSettings, forest: Trained
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/v1/credit_risk/predict", json={"rows": [FEATURES["5008805"], FEATURES["5008804"]]})
    assert [member["probability"] for member in answer.json()["predictions"]] == [
        pytest.approx(expected_probability(forest, "5008805"), abs=1e-9),
        pytest.approx(expected_probability(forest, "5008804"), abs=1e-9),
    ]
    assert [member["id"] for member in answer.json()["predictions"]] == [None, None]


async def test_features_of_several_ids(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/v1/credit_risk/features:batch", json={"ids": ["1", "5008805"]})
    found = answer.json()
    assert found.pop("request_id") == answer.headers["x-request-id"]
    assert found == {
        "rows": [
            {"id": "1", "feature_date": None, "features": None},
            {"id": "5008805", "feature_date": "2019-02-28", "features": FEATURES["5008805"]},
        ],
        "stale": False,
        "snapshot": "first",
    }


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/features/1", 404, "credit_risk has no features for id 1 in snapshot first"),
        ("/predict/1?source=online", 404, "credit_risk has no features for id 1 in snapshot first"),
        ("/predict/abc", 422, "path.id: String should match pattern '^(0|-?[1-9][0-9]{0,18})$'"),
        ("/predict/?user_id=", 422, "query.user_id: String should match pattern '^(0|-?[1-9][0-9]{0,18})$'"),
        ("/features/", 422, "query.user_id: Field required"),
        ("/predict/0123", 422, "path.id: String should match pattern '^(0|-?[1-9][0-9]{0,18})$'"),
        ("/predict/1?source=redis", 422, "query.source: Input should be 'online' or 'hive'"),
        ("/v1/no_such_use_case/predict/1", 404, "there is nothing at /v1/no_such_use_case/predict/1"),
        (
            "/features/5008804?source=hive",
            503,
            HIVE_DOWN,
        ),
    ],
)
async def test_refusals_are_problem_documents(
    serve: Serve, installation: PlatformSettings, path: str, status: int, detail: str
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.get(path)
    found = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (found["status"], found["detail"]) == (status, detail)
    assert found["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"body": "expected one of the members id, ids or rows"}),
        (
            {"rows": [{**FEATURES["5008804"], "age": -1}]},
            {"body.rows.0.age": "Input should be greater than or equal to 0"},
        ),
        ({"rows": [{**FEATURES["5008804"], "income": 1}]}, {"body.rows.0.income": "Extra inputs are not permitted"}),
        (
            {"rows": [{k: v for k, v in FEATURES["5008804"].items() if k != "age"}]},
            {"body.rows.0.age": "Field required"},
        ),
        ({"rows": [{**FEATURES["5008804"], "age": "x"}]}, {"body.rows.0.age": "Input should be a valid integer"}),
        ({"ids": []}, {"body.ids": "List should have at least 1 item after validation, not 0"}),
        ({"id": "5008804", "ids": ["1"]}, {"body.id.ids": "Extra inputs are not permitted"}),
    ],
)
async def test_malformed_bodies_name_the_field_and_not_its_value(
    serve: Serve, installation: PlatformSettings, body: dict[str, Any], errors: dict[str, str]
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/predict", json=body)
    assert answer.status_code == 422
    assert {entry["field"]: entry["message"] for entry in answer.json()["errors"]} == errors


async def test_before_the_first_snapshot_and_model(serve: Serve, settings: PlatformSettings) -> None:
    async with serve(settings) as (client, _):
        features = await client.get("/features/5008804")
        prediction = await client.post("/predict", json={"id": "5008804"})
        ready = await client.get("/readyz")
        alive = await client.get("/healthz")
    assert (features.status_code, features.headers["retry-after"]) == (503, "5")
    assert features.json()["detail"] == (
        "credit_risk cannot answer yet: no snapshot is published; run its pipeline, then look at /readyz"
    )
    assert prediction.status_code == 503
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert ready.json()["use_cases"]["credit_risk"]["status"] == "waiting"
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


async def test_with_a_champion_and_no_snapshot_it_is_broken_not_waiting(
    serve: Serve, installation: PlatformSettings
) -> None:
    (installation.lake_root / "features" / "credit_risk" / "current.json").unlink()
    async with serve(installation) as (client, _):
        ready = await client.get("/readyz")
        prediction = await client.get("/predict/5008804")
    assert ready.status_code == 503
    assert ready.json()["use_cases"]["credit_risk"]["status"] == "broken"
    assert prediction.json()["detail"] == (
        "credit_risk cannot answer yet: no snapshot is published; run its pipeline, then look at /readyz"
    )


async def test_old_features_are_marked_stale(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase
) -> None:
    made = dt.datetime.now(dt.UTC) - dt.timedelta(days=credit_risk.stale_after_days, minutes=1)
    publish_snapshot(installation, credit_risk, "old", created_at=made)
    async with serve(installation) as (client, _):
        prediction = (await client.get("/predict/5008804")).json()
        features = await client.get("/features/5008804")
        ready = await client.get("/readyz", headers=ADMIN)
    assert (prediction["stale"], features.headers["x-stale"]) == (True, "true")
    assert (ready.status_code, ready.json()["use_cases"]["credit_risk"]["stale"]) == (200, True)
