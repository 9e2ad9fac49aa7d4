"""KServe V2: who is predicted, as what it is recorded, and what a tensor may hold."""

import json
import math
from typing import Any

import httpx
import pytest

from mlops_platform.settings import PlatformSettings
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS, keep_model
from tests.serving.predict.test_records import records
from tests.serving.test_lookups_and_predictions import FEATURES, expected_probability

ADMIN = {"authorization": "Bearer an admin token"}
INFER = "/v2/models/credit_risk/infer"
IDS = [row.entity_id for row in ROWS]
BY_ID = {"inputs": [{"name": "id", "shape": [3], "datatype": "BYTES", "data": IDS}]}
DAYS = [row.feature_date.isoformat() for row in ROWS if row.feature_date]


def by_features(**changes: Any) -> dict[str, Any]:
    """One row by its features, each tensor as the metadata has it; ``changes`` by feature."""
    datatypes = {"avg_amount_loans_previous": "FP64"}
    tensors = {
        name: {"name": name, "shape": [1], "datatype": datatypes.get(name, "INT64"), "data": [value]}
        for name, value in FEATURES["5008804"].items()
    }
    for name, change in changes.items():
        tensors[name] |= change
    return {"inputs": list(tensors.values())}


@pytest.fixture
def with_challenger(installation: PlatformSettings, regression: Trained) -> PlatformSettings:
    keep_model(installation, "credit_risk", "2", regression.folder, alias="challenger")
    return installation.model_copy(update={"serving_log_bound_seconds": 0.0})


async def route(client: httpx.AsyncClient, challenger_share: float) -> None:
    body = {"challenger_share": challenger_share, "shadow": False}
    assert (await client.put("/admin/credit_risk/routing", headers=ADMIN, json=body)).status_code == 200


@pytest.mark.anyio
async def test_rows_by_id_are_those_ids_for_the_canary_and_the_log(
    serve: Serve, with_challenger: PlatformSettings, regression: Trained
) -> None:
    async with serve(with_challenger) as (client, _):
        await route(client, 1.0)
        answer = (await client.post(INFER, json=BY_ID)).json()
        recorded = records(with_challenger)
    assert answer["model_version"] == "2"
    assert answer["outputs"][1]["data"] == [
        pytest.approx(expected_probability(regression, entity_id), abs=1e-9) for entity_id in IDS
    ]
    found = [(line["position"], line["id"], line["feature_date"], line["variant"]) for line in recorded]
    assert found == [(at, IDS[at], DAYS[at], "challenger") for at in range(3)]


@pytest.mark.anyio
async def test_a_canary_has_the_same_ids_as_elsewhere_and_a_named_version_answers_alone(
    serve: Serve, with_challenger: PlatformSettings, forest: Trained
) -> None:
    # of these three ids the challenger has one where it has 0.4 of all
    async with serve(with_challenger) as (client, _):
        await route(client, 0.4)
        elsewhere = (await client.post("/predict", json={"ids": IDS})).json()["predictions"]
        answer = (await client.post(INFER, json=BY_ID)).json()
        of_version = (await client.post("/v2/models/credit_risk/versions/1/infer", json=BY_ID)).json()
    assert {row["variant"] for row in elsewhere} == {"champion", "challenger"}
    assert answer["outputs"][1]["data"] == [row["probability"] for row in elsewhere]
    assert "model_version" not in answer
    assert of_version["model_version"] == "1"
    assert of_version["outputs"][1]["data"] == [
        pytest.approx(expected_probability(forest, entity_id), abs=1e-9) for entity_id in IDS
    ]


@pytest.mark.anyio
async def test_an_unknown_output_is_refused_before_anything_is_predicted(
    serve: Serve, with_challenger: PlatformSettings
) -> None:
    async with serve(with_challenger) as (client, service):
        answer = await client.post(INFER, json={**BY_ID, "outputs": [{"name": "probability"}, {"name": "score"}]})
        assert records(with_challenger) == []
        assert "serving_predictions_total{" not in service.runtime.metrics.page().decode()
    assert (answer.status_code, answer.json()["error"]) == (422, "outputs: there are prediction, probability")


@pytest.mark.parametrize(
    "age",
    [
        *({"datatype": datatype} for datatype in ("INT8", "INT16", "INT32", "UINT8", "UINT16", "UINT32", "UINT64")),
        *({"datatype": datatype, "data": [31.0]} for datatype in ("FP16", "FP32", "FP64")),
        {"shape": [1, 1], "data": [[31]]},
        {"shape": [1, 1]},
    ],
)
def test_a_number_comes_in_any_width_that_holds_it(asked: httpx.Client, forest: Trained, age: dict[str, Any]) -> None:
    answer = asked.post(INFER, json=by_features(age=age))
    assert answer.json()["outputs"][1]["data"] == [pytest.approx(expected_probability(forest, "5008804"), abs=1e-9)]


def test_a_nan_of_a_float_tensor_is_a_null(asked: httpx.Client, forest: Trained) -> None:
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP32", "data": [math.nan if value is None else value]}
        for name, value in FEATURES["5008805"].items()
    ]
    answer = asked.post(INFER, content=json.dumps({"inputs": tensors}))
    assert answer.json()["outputs"][1]["data"] == [pytest.approx(expected_probability(forest, "5008805"), abs=1e-9)]


SHAPE = "inputs.age: expected shape [n] or [n, 1] and as many values"


@pytest.mark.parametrize(
    ("age", "detail"),
    [
        ({"data": [1.5]}, "inputs.age.0: expected a value of INT64"),
        ({"data": [31.0]}, "inputs.age.0: expected a value of INT64"),
        ({"data": ["31"]}, "inputs.age.0: expected a value of INT64"),
        ({"data": [True]}, "inputs.age.0: expected a value of INT64"),
        ({"datatype": "INT8", "data": [128]}, "inputs.age.0: expected a value of INT8"),
        ({"datatype": "UINT64", "data": [-1]}, "inputs.age.0: expected a value of UINT64"),
        ({"datatype": "FP16", "data": [65505.0]}, "inputs.age.0: expected a value of FP16"),
        ({"datatype": "FP32", "data": [1e39]}, "inputs.age.0: expected a value of FP32"),
        ({"datatype": "FP64", "data": [True]}, "inputs.age.0: expected a value of FP64"),
        ({"datatype": "BYTES", "data": [31]}, "inputs.age.0: expected a value of BYTES"),
        ({"datatype": "BOOL", "data": [1]}, "inputs.age.0: expected a value of BOOL"),
        ({"datatype": "BYTES", "data": ["31"]}, "inputs.age: expected a tensor of numbers, found BYTES"),
        ({"datatype": "BOOL", "data": [True]}, "inputs.age: expected a tensor of numbers, found BOOL"),
        ({"shape": [2]}, SHAPE),
        ({"shape": [1, 2], "data": [31, 31]}, SHAPE),
        ({"data": [[31]]}, SHAPE),
        ({"shape": [2, 1], "data": [[31], 31]}, SHAPE),
        ({"shape": [1, 1], "data": [[31, 31]]}, SHAPE),
        ({"shape": [1, 1], "data": [[]]}, SHAPE),
        ({"datatype": "FP64", "data": [None]}, "inputs.0.age: Input should be a valid integer"),
    ],
)
def test_a_tensor_holds_what_it_says(asked: httpx.Client, age: dict[str, Any], detail: str) -> None:
    answer = asked.post(INFER, json=by_features(age=age))
    assert (answer.status_code, answer.json()["error"]) == (422, detail)


@pytest.mark.parametrize(
    ("tensor", "detail"),
    [
        ({"datatype": "INT64", "data": [5008804]}, "inputs.id: expected a tensor of BYTES, found INT64"),
        ({"data": [5008804]}, "inputs.id.0: expected a value of BYTES"),
        ({"data": [None]}, "inputs.id.0: Input should be a valid string"),
        ({"data": ["007"]}, "inputs.id.0: String should match pattern '^(0|-?[1-9][0-9]{0,18})$'"),
    ],
)
def test_an_id_is_text(asked: httpx.Client, tensor: dict[str, Any], detail: str) -> None:
    body = {"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES"} | tensor]}
    answer = asked.post(INFER, json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, detail)


def test_the_metadata_says_what_is_taken(asked: httpx.Client) -> None:
    metadata = (asked.get("/v2/models/credit_risk")).json()
    inputs = [{**one, "shape": [1, 1], "data": [FEATURES["5008804"][one["name"]]]} for one in metadata["inputs"]]
    by_id = {**metadata["parameters"]["instead_of_inputs"], "shape": [1, 1], "data": ["5008804"]}
    answers = [(asked.post(INFER, json={"inputs": taken})).json() for taken in (inputs, [by_id])]
    described = [{"name": output["name"], "datatype": output["datatype"]} for output in answers[0]["outputs"]]
    assert described == [{"name": one["name"], "datatype": one["datatype"]} for one in metadata["outputs"]]
    assert answers[0]["outputs"] == answers[1]["outputs"]
