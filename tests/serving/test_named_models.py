"""A caller names the model that is to answer, by version or by family."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from mlops_platform.models.verdict import Decision
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import keep_model, write_model
from tests.serving.processes import Registry
from tests.serving.test_contract import columns
from tests.serving.test_lookups_and_predictions import FEATURES, expected_probability

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

ID = "5008804"
PREDICT = f"/v1/credit_risk/predict/{ID}"


@pytest.fixture
async def both(serve: Serve, installation: PlatformSettings, regression: Trained) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service with a forest as champion and a regression as challenger, whose registry is down."""
    keep_model(installation, "credit_risk", "2", regression.folder, alias="challenger")
    async with serve(installation) as (client, _):
        yield client


def of(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.json()["model_version"], answer.json()["variant"]


@pytest.mark.parametrize("model", ["2", "logistic_regression"])
@pytest.mark.parametrize("path", [PREDICT, f"/predict/{ID}", f"/predict/?user_id={ID}"])
async def test_the_named_model_answers_for_an_id(
    both: httpx.AsyncClient, regression: Trained, path: str, model: str
) -> None:
    answer = await both.get(path, params={**httpx.URL(path).params, "model": model})
    assert of(answer) == ("2", "named")
    assert answer.json()["probability"] == pytest.approx(expected_probability(regression, ID), abs=1e-9)


@pytest.mark.parametrize("body", [{"ids": [ID]}, {"rows": [FEATURES[ID]]}])
async def test_the_named_model_answers_for_a_body(
    both: httpx.AsyncClient, regression: Trained, body: dict[str, Any]
) -> None:
    (found,) = (await both.post("/v1/credit_risk/predict?model=2", json=body)).json()["predictions"]
    assert (found["model_version"], found["variant"]) == ("2", "named")
    assert found["probability"] == pytest.approx(expected_probability(regression, ID), abs=1e-9)


@pytest.mark.parametrize("model", ["1", "random_forest"])
async def test_the_champion_that_is_named_answers_as_such(both: httpx.AsyncClient, model: str) -> None:
    assert of(await both.get(PREDICT, params={"model": model})) == ("1", "champion")


async def test_the_named_model_is_explained(both: httpx.AsyncClient, regression: Trained) -> None:
    answer = await both.get(f"/v1/credit_risk/explain/{ID}?model=2")
    assert of(answer) == ("2", "named")
    assert answer.json()["probability"] == pytest.approx(expected_probability(regression, ID), abs=1e-9)


async def test_kserve_answers_by_the_version_in_the_path(both: httpx.AsyncClient, regression: Trained) -> None:
    tensors = [{"name": name, "shape": [1], "datatype": "FP64", "data": values} for name, values in columns(ID).items()]
    path = "/v2/models/credit_risk/versions/2"
    answer = await both.post(f"{path}/infer", json={"inputs": tensors})
    assert answer.json()["model_version"] == "2"
    (probability,) = next(one["data"] for one in answer.json()["outputs"] if one["name"] == "probability")
    assert probability == pytest.approx(expected_probability(regression, ID), abs=1e-9)
    assert (await both.get(path)).json()["versions"] == ["2"]
    assert (await both.get(f"{path}/ready")).json() == {"name": "credit_risk", "ready": True}
    assert (await both.get("/v2/models/credit_risk/versions/two")).status_code == 404


async def test_what_is_not_at_hand_waits_for_the_registry(both: httpx.AsyncClient) -> None:
    answer = await both.get(PREDICT, params={"model": "3"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:mlops:problem:upstream-unavailable")
    assert of(await both.get(PREDICT)) == ("1", "champion")


async def test_a_name_that_can_be_none_is_refused(both: httpx.AsyncClient) -> None:
    answer = await both.get(PREDICT, params={"model": "../1"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.model")


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[Registry]:
    server = Registry(mlflow_url)
    yield server
    server.clear("credit_risk")


@pytest.fixture
def connected(
    installation: PlatformSettings, registry: Registry, credit_risk: UseCase, forest: Trained, regression: Trained
) -> PlatformSettings:
    """With three registered versions: the champion, one that was rejected, and one of a transform that is no more."""
    registry.register("credit_risk", forest.folder)
    registry.register("credit_risk", regression.folder, Decision.REJECTED)
    unfit = installation.state_dir / "unfit"
    write_model(unfit, credit_risk, forest.pipeline, "old_family", transform="0" * 64)
    registry.register("credit_risk", unfit)
    return installation.model_copy(update={"mlflow_port": int(registry.url.rpartition(":")[2])})


async def test_any_registered_version_answers_whatever_its_verdict(
    serve: Serve, connected: PlatformSettings, regression: Trained
) -> None:
    async with serve(connected) as (client, _):
        for model in ("2", "logistic_regression"):
            answer = await client.get(PREDICT, params={"model": model})
            assert of(answer) == ("2", "named")
            assert answer.json()["probability"] == pytest.approx(expected_probability(regression, ID), abs=1e-9)
        unknown = await client.get(PREDICT, params={"model": "gradient_boosting"})
        refused = await client.get(PREDICT, params={"model": "3"})
    assert (unknown.status_code, unknown.json()["detail"]) == (
        404,
        "credit_risk has no model gradient_boosting, neither a version nor a family of its present features",
    )
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "the model 3 of credit_risk cannot be served; the service's log says why",
    )
