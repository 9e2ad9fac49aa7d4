"""The protocols of others, spoken by their own clients: Triton's for KServe V2, and AWS's for SageMaker."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import numpy as np
import pytest
import tritonclient.http
from botocore.config import Config
from botocore.exceptions import ClientError
from tritonclient.utils import InferenceServerException

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Trained
from tests.serving.installation import ROWS, THRESHOLD
from tests.serving.processes import service_of
from tests.serving.test_lookups_and_predictions import FEATURES, expected_probability

IDS = ("5008804", "5008806")


@pytest.fixture(scope="module")
def service(
    credit_risk: UseCase, forest: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformSettings]:
    state_dir = tmp_path_factory.mktemp("clients") / "state"
    with service_of(state_dir, credit_risk, forest.folder) as settings:
        yield settings


@pytest.fixture
def triton(service: PlatformSettings) -> Iterator[tritonclient.http.InferenceServerClient]:
    with tritonclient.http.InferenceServerClient(f"{service.serving_host}:{service.serving_port}") as client:
        yield client


@pytest.fixture
def sagemaker(service: PlatformSettings) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=service.serving_url,
        region_name="eu-central-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def tensor(name: str, values: np.ndarray, datatype: str) -> tritonclient.http.InferInput:
    made = tritonclient.http.InferInput(name, list(values.shape), datatype)
    return made.set_data_from_numpy(values, binary_data=False)


def probabilities(forest: Trained) -> list[Any]:
    return [pytest.approx(expected_probability(forest, entity_id), abs=1e-9) for entity_id in IDS]


def test_tritons_client_sees_the_server_and_the_model(triton: tritonclient.http.InferenceServerClient) -> None:
    assert (triton.is_server_live(), triton.is_server_ready()) == (True, True)
    assert triton.is_model_ready("credit_risk")
    assert triton.is_model_ready("credit_risk", "1")
    assert not triton.is_model_ready("credit_risk", "2")
    assert not triton.is_model_ready("none")
    assert triton.get_server_metadata()["name"] == "mlops-serving"
    metadata = triton.get_model_metadata("credit_risk")
    assert (metadata["name"], metadata["versions"]) == ("credit_risk", ["1"])
    assert [one["name"] for one in metadata["inputs"]] == list(FEATURES["5008804"])
    assert [(one["name"], one["datatype"]) for one in metadata["outputs"]] == [
        ("prediction", "INT64"),
        ("probability", "FP64"),
    ]


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_tritons_client_infers_rows(
    triton: tritonclient.http.InferenceServerClient, forest: Trained, shape: tuple[int, ...]
) -> None:
    datatypes = {one["name"]: one["datatype"] for one in triton.get_model_metadata("credit_risk")["inputs"]}
    kinds = {"INT64": np.int64, "FP64": np.float64}
    inputs = [
        tensor(
            name,
            np.array([FEATURES[entity_id][name] for entity_id in IDS], dtype=kinds[datatype]).reshape(shape),
            datatype,
        )
        for name, datatype in datatypes.items()
    ]
    wanted = [tritonclient.http.InferRequestedOutput(name, binary_data=False) for name in ("probability", "prediction")]
    result = triton.infer("credit_risk", inputs, model_version="1", outputs=wanted, request_id="mine")
    assert result.get_response()["id"] == "mine"
    assert result.as_numpy("probability").shape == (2, 1)
    assert result.as_numpy("probability").ravel().tolist() == probabilities(forest)
    labels = [int(expected_probability(forest, entity_id) >= THRESHOLD) for entity_id in IDS]
    assert result.as_numpy("prediction").ravel().tolist() == labels


def test_tritons_client_infers_ids_with_its_default_outputs(
    triton: tritonclient.http.InferenceServerClient, forest: Trained
) -> None:
    ids = tensor("id", np.array(IDS, dtype=object), "BYTES")
    result = triton.infer("credit_risk", [ids])  # asks for binary outputs, which a server may give as JSON
    assert result.as_numpy("probability").ravel().tolist() == probabilities(forest)


def test_tritons_client_raises_what_the_service_says(triton: tritonclient.http.InferenceServerClient) -> None:
    ids = tensor("id", np.array(["1"], dtype=object), "BYTES")
    with pytest.raises(InferenceServerException) as unknown:
        triton.infer("none", [ids])
    assert "there is no model of this name; there are credit_risk" in str(unknown.value)
    with pytest.raises(InferenceServerException) as malformed:
        triton.infer("credit_risk", [tensor("age", np.array([31], dtype=np.int64), "INT64")])
    assert "inputs.0.years_on_the_job: Field required" in str(malformed.value)


def test_tritons_client_is_told_that_binary_tensors_are_not_taken(
    triton: tritonclient.http.InferenceServerClient,
) -> None:
    binary = tritonclient.http.InferInput("age", [1], "INT64").set_data_from_numpy(np.array([31]), binary_data=True)
    with pytest.raises(InferenceServerException, match="binary tensors are not taken"):
        triton.infer("credit_risk", [binary])


def test_awss_client_invokes_the_use_case_as_an_endpoint(sagemaker: Any, forest: Trained) -> None:
    answer = sagemaker.invoke_endpoint(
        EndpointName="credit_risk", ContentType="application/json", Body=json.dumps({"ids": list(IDS)})
    )
    found = json.loads(answer["Body"].read())["predictions"]
    assert [row["probability"] for row in found] == probabilities(forest)
    rows = "".join(
        ",".join("" if value is None else str(value) for value in row.features.values()) + "\n" for row in ROWS
    )
    answer = sagemaker.invoke_endpoint(EndpointName="credit_risk", ContentType="text/csv", Body=rows)
    lines = answer["Body"].read().decode().splitlines()
    assert answer["ContentType"].startswith("text/csv")
    expected = [expected_probability(forest, row.entity_id) for row in ROWS]
    assert [float(line.split(",")[1]) for line in lines] == [pytest.approx(value, abs=1e-9) for value in expected]


@pytest.mark.parametrize(
    ("endpoint", "body", "status"),
    [("none", "{}", 404), ("credit_risk", '{"rows": [{}]}', 422), ("credit_risk", '{"id": "1"}', 404)],
)
def test_awss_client_raises_where_the_service_refuses(sagemaker: Any, endpoint: str, body: str, status: int) -> None:
    with pytest.raises(ClientError) as refused:
        sagemaker.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
