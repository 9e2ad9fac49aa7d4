"""The contract beyond lookups: the model, explanations, KServe V2, SageMaker, metrics."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from mlops_platform.settings import PlatformSettings
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import REGISTERED_AT, ROWS, THRESHOLD
from tests.serving.test_lookups_and_predictions import FEATURES, expected_probability

pytestmark = pytest.mark.anyio


def columns(*entity_ids: str) -> dict[str, list[Any]]:
    return {name: [FEATURES[entity_id][name] for entity_id in entity_ids] for name in FEATURES["5008804"]}


async def test_the_model_says_what_it_is(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        found = (await client.get("/v1/credit_risk/model")).json()
        challenger = await client.get("/v1/credit_risk/model?variant=challenger")
    assert len(found.pop("manifest_sha256")) == 64
    assert [feature["name"] for feature in found.pop("features")] == list(FEATURES["5008804"])
    assert found == {
        "use_case": "credit_risk",
        "variant": "champion",
        "model_version": "1",
        "family": "random_forest",
        "registered_at": REGISTERED_AT.isoformat(),
        "trained_on_snapshot": "first",
        "fingerprint": None,
        "git_sha": "0" * 40,
        "task": "binary",
        "classes": [],
        "threshold": THRESHOLD,
        "compiled": True,
        "not_compiled": None,
        "metrics": {"holdout": {"roc_auc": 0.61}},
        "snapshot": "first",
    }
    assert challenger.status_code == 404


@pytest.mark.parametrize("entity_id", sorted(FEATURES))
async def test_contributions_add_up_to_the_score(
    serve: Serve, installation: PlatformSettings, forest: Trained, entity_id: str
) -> None:
    async with serve(installation) as (client, _):
        found = (await client.get(f"/v1/credit_risk/explain/{entity_id}")).json()
    assert found["probability"] == pytest.approx(expected_probability(forest, entity_id), abs=1e-9)
    shares = {entry["feature"]: entry["contribution"] for entry in found["contributions"]}
    assert list(shares) == list(FEATURES["5008804"])
    assert found["base_probability"] + sum(shares.values()) == pytest.approx(found["probability"], abs=1e-9)
    assert found["base_probability"] == pytest.approx(
        sum(expected_probability(forest, row.entity_id) for row in ROWS) / len(ROWS), abs=1e-9
    )
    assert {entry["feature"]: entry["value"] for entry in found["contributions"]} == FEATURES[entity_id]
    adverse = sorted((name for name in shares if shares[name] > 0), key=lambda name: -shares[name])
    assert [reason["code"] for reason in found["reasons"]] == [f"CREDIT_RISK.{name}".upper() for name in adverse[:4]]


async def test_a_reason_is_a_sentence(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        found = (await client.get("/v1/credit_risk/explain/5008806")).json()
    first = found["reasons"][0]
    share = next(e["contribution"] for e in found["contributions"] if e["feature"] == "nb_previous_loans")
    assert first == {
        "code": "CREDIT_RISK.NB_PREVIOUS_LOANS",
        "text": (
            "loans of the customer with a strictly earlier date (here 40): raises the probability of "
            f"'not repaid on time' by {share:.4f}"
        ),
    }


async def test_kserve_predicts_rows_and_ids(serve: Serve, installation: PlatformSettings, forest: Trained) -> None:
    ids = ["5008804", "5008806"]
    rows = {
        "id": "mine",
        "inputs": [
            {"name": name, "shape": [2, 1], "datatype": "FP64", "data": [[value] for value in values]}
            for name, values in columns(*ids).items()
        ],
    }
    by_id = {"inputs": [{"name": "id", "shape": [2], "datatype": "BYTES", "data": ids}]}
    async with serve(installation) as (client, _):
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/models/credit_risk/ready")).json() == {"name": "credit_risk", "ready": True}
        metadata = (await client.get("/v2/models/credit_risk/versions/1")).json()
        answers = [(await client.post("/v2/models/credit_risk/infer", json=body)).json() for body in (rows, by_id)]
        unknown = await client.post("/v2/models/other/infer", json=by_id)
    assert metadata["inputs"][0] == {"name": "age", "datatype": "INT64", "shape": [-1, 1]}
    expected = [expected_probability(forest, entity_id) for entity_id in ids]
    for answer in answers:
        assert (answer["model_name"], answer["model_version"]) == ("credit_risk", "1")
        assert answer["outputs"] == [
            {
                "name": "prediction",
                "shape": [2, 1],
                "datatype": "INT64",
                "data": [int(probability >= THRESHOLD) for probability in expected],
            },
            {
                "name": "probability",
                "shape": [2, 1],
                "datatype": "FP64",
                "data": [pytest.approx(probability, abs=1e-9) for probability in expected],
            },
        ]
    assert answers[0]["id"] == "mine"
    assert (unknown.status_code, unknown.json()["error"]) == (404, unknown.json()["detail"])


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"data": [200.0, 31.0]}, "inputs.0.age: Input should be less than or equal to 130"),
        ({"name": "weight"}, "inputs.0.age: Field required"),
        ({"data": [1.0]}, "inputs.age: expected shape [n] or [n, 1] and as many values"),
        ({"data": [1.5, 1.0]}, "inputs.0.age: Input should be a valid integer"),
    ],
)
async def test_kserve_names_the_tensor_that_is_wrong(
    serve: Serve, installation: PlatformSettings, change: dict[str, Any], detail: str
) -> None:
    inputs: list[dict[str, Any]] = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": values}
        for name, values in columns("5008804", "5008806").items()
    ]
    inputs[0] |= change
    async with serve(installation) as (client, _):
        answer = await client.post("/v2/models/credit_risk/infer", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["detail"]) == (422, detail)


async def test_sagemaker_takes_json_and_csv(serve: Serve, installation: PlatformSettings, forest: Trained) -> None:
    async with serve(installation) as (client, _):
        ping = await client.get("/ping")
        as_json = await client.post("/invocations", json={"id": "5008804"})
        as_csv = await client.post(
            "/invocations", content="31,12,9,153.12,1\n67,,0,,\n", headers={"content-type": "text/csv"}
        )
        wrong = await client.post("/invocations", content="31,12\n", headers={"content-type": "text/csv"})
        other = await client.post("/invocations", content="<a/>", headers={"content-type": "text/xml"})
    assert ping.status_code == 200
    assert as_json.json()["probability"] == pytest.approx(expected_probability(forest, "5008804"), abs=1e-9)
    assert as_csv.headers["content-type"].startswith("text/csv")
    lines = [line.split(",") for line in as_csv.text.splitlines()]
    expected = [expected_probability(forest, entity_id) for entity_id in ("5008804", "5008805")]
    assert [float(line[1]) for line in lines] == [pytest.approx(value, abs=1e-9) for value in expected]
    assert [line[0] for line in lines] == [str(int(value >= THRESHOLD)) for value in expected]
    assert (wrong.status_code, wrong.json()["detail"]) == (
        422,
        (
            "line 1: expected 5 fields (age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, "
            "flag_own_car), found 2"
        ),
    )
    assert other.status_code == 415


async def test_metrics_count_by_route_and_model(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, service):
        for _ in range(3):
            await client.get("/predict/5008804")
        await client.get("/predict/1")
        service.runtime.metrics.watch(service.runtime.served, 0, 0)
        page = (await client.get("/metrics")).text
    assert 'serving_request_seconds_count{route="/predict/{id}",status="200"} 3.0' in page
    assert 'serving_request_seconds_count{route="refused",status="404"} 1.0' in page
    assert 'serving_predictions_total{model_version="1",use_case="credit_risk",variant="champion"} 3.0' in page
    assert 'serving_snapshot_age_seconds{use_case="credit_risk"}' in page


async def test_a_body_that_is_too_large_is_refused(serve: Serve, installation: PlatformSettings) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/predict", content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_a_body_that_does_not_come_or_breaks_off_is_refused(
    serve: Serve, installation: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.api.request_body.SECONDS", 0.05)

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def broken_off() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(dict(message))

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": headers}
    async with serve(installation) as (_, service):
        await service({**scope}, never, send)
        await service({**scope}, broken_off, send)
    assert [(part["status"], dict(part["headers"])[b"content-type"]) for part in sent if "status" in part] == [
        (408, b"application/problem+json"),
        (400, b"application/problem+json"),
    ]


async def test_under_overload_new_requests_are_refused_and_operators_are_not(
    serve: Serve, installation: PlatformSettings
) -> None:
    async with serve(installation) as (client, service):
        service.overload.shedding = True
        refused = await client.get("/predict/5008804")
        admin = {"authorization": "Bearer an admin token"}
        answered = [
            (await client.get(path, headers=admin)).status_code
            for path in ("/healthz", "/readyz", "/metrics", "/admin/credit_risk/routing")
        ]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert refused.json()["type"] == "urn:mlops:problem:overloaded"
    assert answered == [200] * 4
