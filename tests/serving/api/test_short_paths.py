"""Short paths of every shape: what they take, answer, refuse, and record."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.routing import Route

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.short_paths import PLATFORM_SEGMENTS, ColumnsPath, HealthPath, PathColumn, RowsPath
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import THRESHOLD
from tests.serving.predict.test_records import records

pytestmark = pytest.mark.anyio

PLAIN = (
    PathColumn(name="Age", feature="age"),
    PathColumn(name="Years", feature="years_on_the_job"),
    PathColumn(name="Loans", feature="nb_previous_loans"),
    PathColumn(name="Amount", feature="avg_amount_loans_previous"),
)
CAR = (
    PathColumn(name="no car", feature="flag_own_car", value=0),
    PathColumn(name="car", feature="flag_own_car", value=1),
)
IGNORED = PathColumn(name="id_new")

SAFE = [31, 12, 0, 153.12, 0, 1]
RISKY = [67, None, 60, None, 1, 0]


@pytest.fixture
def shaped(credit_risk: UseCase) -> UseCase:
    paths = (
        *credit_risk.short_paths,
        RowsPath(path="/score", columns=(*PLAIN, *CAR)),
        ColumnsPath(path="/get_prediction", columns=(*PLAIN, PathColumn(name="car", feature="flag_own_car"), IGNORED)),
        HealthPath(path="/check_service", answer={"Message": "The service is up"}),
    )
    return UseCase(**{**{name: getattr(credit_risk, name) for name in UseCase.model_fields}, "short_paths": paths})


@pytest.fixture
async def client(serve: Serve, installation: PlatformSettings, shaped: UseCase) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(installation, (shaped,)) as (connected, _):
        yield connected


def expected(trained: Trained, *row: float | None) -> int:
    matrix = np.array([row], dtype=np.float64)
    return int(trained.pipeline.predict_proba(matrix)[0, 1] >= THRESHOLD)


def columns(**changes: Any) -> dict[str, Any]:
    data = {"Age": [67], "Years": [None], "Loans": [60], "Amount": [None], "car": [0], "id_new": [7], **changes}
    return {"data": {name: values for name, values in data.items() if values is not None}}


async def test_rows_are_answered_by_a_list_in_their_order(client: httpx.AsyncClient, forest: Trained) -> None:
    one = await client.post("/score", json={"data": [SAFE]})
    both = await client.post("/score", json={"data": [RISKY, SAFE]})
    safe, risky = expected(forest, 31, 12, 0, 153.12, 1), expected(forest, 67, None, 60, None, 0)
    assert {safe, risky} == {0, 1}
    assert (one.status_code, one.json()) == (200, [safe])
    assert both.json() == [risky, safe]


@pytest.mark.parametrize("row", [[31.0, 12.0, 0.0, 153.12, 0.0, 1.0], [31, 12, 0, 153.12, False, True]])
async def test_flags_are_taken_as_dataframes_write_them(
    client: httpx.AsyncClient, forest: Trained, row: list[float]
) -> None:
    answer = await client.post("/score", json={"data": [row]})
    assert answer.json() == [expected(forest, 31, 12, 0, 153.12, 1)]


async def test_columns_are_answered_by_one_prediction_or_a_list_of_them(client: httpx.AsyncClient) -> None:
    two = columns(Age=[67, 31], Years=[None, 12], Loans=[60, 0], Amount=[None, 1.5], car=[0, 1], id_new=[7, "x"])
    one = await client.post("/get_prediction", json=columns())
    without_ignored = await client.post("/get_prediction", json=columns(id_new=None))
    both = await client.post("/get_prediction", json=two)
    assert (one.status_code, one.text) == (200, '{"prediction":1}')
    assert without_ignored.text == one.text
    assert both.text == '{"prediction":[1,0]}'


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("/score", {"data": [SAFE, [31, 12, 0, 1.5, 1, 1]]}, "body.data.1", "no car, car are 1: flag_own_car has one"),
        ("/score", {"data": [[31, 12, 0, 1.5, 0, 2]]}, "body.data.0.5", "Input should be 0 or 1"),
        ("/score", {"data": [[131, 12, 0, 1.5, 0, 1]]}, "body.data.0.0", "less than or equal to 130"),
        ("/score", {"data": [SAFE[:5]]}, "body.data.0.5", "Field required"),
        ("/score", {"data": [[*SAFE, 1]]}, "body.data.0", "at most 6 items"),
        ("/score", {"data": SAFE}, "body.data.0", "valid tuple"),
        ("/score", {"data": []}, "body.data", "at least 1 item"),
        ("/get_prediction", columns(Age=[31, 32]), "body.data", "expected columns of one length, found Age 2, Years 1"),
        ("/get_prediction", columns(Loans=None), "body.data.Loans", "Field required"),
        ("/get_prediction", columns(Other=[1]), "body.data.Other", "Extra inputs are not permitted"),
        ("/get_prediction", columns(Age=[None]), "body.data.Age.0", "valid integer"),
    ],
)
async def test_a_table_that_is_no_rows_of_features_is_refused_by_field(
    client: httpx.AsyncClient, path: str, body: Any, field: str, message: str
) -> None:
    answer = await client.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    told = [error["message"] for error in answer.json()["errors"] if error["field"].startswith(field)]
    assert any(message in one for one in told), answer.text


async def test_a_feature_that_cannot_be_null_needs_its_one(
    serve: Serve, installation: PlatformSettings, shaped: UseCase
) -> None:
    *others, car = shaped.features
    strict = shaped.model_copy(update={"features": (*others, car.model_copy(update={"nullable": False}))})
    neither = {"data": [[31, 12, 0, 1.5, 0, 0]]}
    async with serve(installation, (shaped,)) as (client, _):
        unknown = await client.post("/score", json=neither)
    async with serve(installation, (strict,)) as (client, _):
        refused = await client.post("/score", json=neither)
    assert unknown.status_code == 200
    assert refused.json()["detail"] == ("body.data.0: one of no car, car is to be 1: flag_own_car cannot be null")


async def test_they_are_recorded_and_counted_as_predictions(
    serve: Serve, installation: PlatformSettings, shaped: UseCase
) -> None:
    at_once = installation.model_copy(update={"serving_log_bound_seconds": 0.0})
    async with serve(at_once, (shaped,)) as (client, _):
        answer = await client.post("/score", json={"data": [RISKY, SAFE]})
        found = records(at_once)
        page = (await client.get("/metrics")).text
    assert [(one["position"], one["id"], one["label"], one["request_id"]) for one in found] == [
        (at, None, label, answer.headers["x-request-id"]) for at, label in enumerate(answer.json())
    ]
    assert found[0]["features"] == {
        "age": 67,
        "years_on_the_job": None,
        "nb_previous_loans": 60,
        "avg_amount_loans_previous": None,
        "flag_own_car": 0,
    }
    assert 'route="/score"' in page


async def test_health_is_told_while_there_is_a_champion(
    serve: Serve, settings: PlatformSettings, installation: PlatformSettings, shaped: UseCase, tmp_path: Any
) -> None:
    empty = settings.model_copy(update={"state_dir": tmp_path / "empty"})
    async with serve(installation, (shaped,)) as (client, _):
        answer = await client.get("/check_service")
    async with serve(empty, (shaped,)) as (client, _):
        waiting = await client.get("/check_service")
        scored = await client.post("/score", json={"data": [SAFE]})
    assert (answer.status_code, answer.text) == (200, '{"Message":"The service is up"}')
    assert (waiting.status_code, waiting.json()["type"]) == (503, "urn:mlops:problem:not-ready")
    assert scored.status_code == 503


@pytest.mark.parametrize("path", ["/features/?test", "/predict/?test", "/predict/?test=1&user_id=1"])
async def test_a_path_of_ids_says_that_it_is_there(serve: Serve, settings: PlatformSettings, path: str) -> None:
    async with serve(settings) as (client, _):
        answer = await client.get(path)
        head = await client.head(path)
        other = await client.post(path)
    assert (answer.status_code, answer.text) == (200, '{"msg":"Test Success"}')
    assert (head.status_code, head.content) == (200, b"")
    assert other.status_code == 405


async def test_an_id_is_still_required(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        answer = await client.get("/features/?tests=1")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.user_id")


async def test_the_document_shows_what_each_path_takes(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    examples = {
        path: document["components"]["schemas"][f"CreditRisk{name}Request"]["examples"][0]
        for path, name in (("/score", "Score"), ("/get_prediction", "GetPrediction"))
    }
    assert examples == {
        "/score": {"data": [[31, 12, 9, 153.12, 0, 1]]},
        "/get_prediction": {"data": {"Age": [31], "Years": [12], "Loans": [9], "Amount": [153.12], "car": [1]}},
    }
    answers = [await client.post(path, json=example) for path, example in examples.items()]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert {"200", "400", "413", "422", "503"} <= set(document["paths"]["/score"]["post"]["responses"])


async def test_they_ask_for_a_key_where_others_do(
    serve: Serve, installation: PlatformSettings, shaped: UseCase
) -> None:
    closed = installation.model_copy(update={"serving_require_api_key": True})
    async with serve(closed, (shaped,)) as (client, _):
        answers = [
            await client.post("/score", json={"data": [SAFE]}),
            await client.get("/check_service"),
            await client.get("/features/?test"),
        ]
    assert [answer.status_code for answer in answers] == [401, 401, 401]


async def test_the_services_own_paths_are_those_that_no_use_case_can_claim(
    serve: Serve, settings: PlatformSettings, shaped: UseCase
) -> None:
    bare = shaped.model_copy(update={"short_paths": ()})
    async with serve(settings, (bare,)) as (_, service):
        paths = {route.path for route in service.api.routes if isinstance(route, Route)}
    own = {path.split("/")[1] for path in paths}
    assert {segment for segment in own if segment.isidentifier()} <= PLATFORM_SEGMENTS
    assert own >= PLATFORM_SEGMENTS
