"""The OpenAPI document holds: whatever a client sends is answered as it says, and nothing breaks the service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Trained
from tests.serving.installation import ROWS
from tests.serving.processes import service_of

# neither a registry nor HiveServer2 is there: what needs them answers with a 503, which its routes document
CONFIGURATION = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503]
"""
PROBLEM = "application/problem+json"
ADMIN = {"authorization": "Bearer an admin token"}
PUBLIC = {"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"}


@pytest.fixture(scope="module", params=[False, True], ids=["on loopback", "with keys"])
def service(
    request: pytest.FixtureRequest, credit_risk: UseCase, forest: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformSettings]:
    state_dir = tmp_path_factory.mktemp("openapi") / "state"
    changes: dict[str, Any] = {"serving_admin_token": "an admin token", "serving_require_api_key": request.param}
    with service_of(state_dir, credit_risk, forest.folder, **changes) as settings:
        yield settings


@pytest.fixture(scope="module")
def client(service: PlatformSettings) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.serving_url, headers=ADMIN, trust_env=False) as connected:
        yield connected


def test_schemathesis_finds_nothing(service: PlatformSettings, tmp_path: Path) -> None:
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    # every corner of every parameter once; what a key changes shows in few requests
    phases = "examples,fuzzing" if service.serving_require_api_key else "examples,coverage,fuzzing"
    found = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{service.serving_url}/openapi.json", "--no-color"),
            *("--checks", "all", "--phases", phases, "--max-examples", "3", "--seed", "1"),
            *("--header", "Authorization: Bearer an admin token"),
            *("--exclude-path-regex", "replay"),  # each search is a process of its own
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def test_a_route_documents_the_key_that_it_asks_for(service: PlatformSettings, client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    asking = {path for path, operations in paths.items() for one in operations.values() if one["security"]}
    refusing = {path for path, operations in paths.items() for one in operations.values() if "401" in one["responses"]}
    admin = {path for path in paths if path.startswith("/admin/")}
    assert asking == refusing == (set(paths) - PUBLIC if service.serving_require_api_key else admin)
    assert admin
    for path in paths.keys() - asking:
        assert httpx.get(f"{service.serving_url}{path}", trust_env=False).status_code not in {401, 403}
    for path in asking:
        assert httpx.get(f"{service.serving_url}{path}", trust_env=False).status_code == 401


def test_each_use_case_has_its_own_typed_routes_with_the_specs_examples(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    features = schemas["CreditRiskFeatureInput"]
    assert features["examples"] == [dict(ROWS[0].features)]
    assert features["required"] == list(ROWS[0].features)
    assert features["additionalProperties"] is False
    assert features["properties"]["age"] == {
        "type": "integer",
        "minimum": 0.0,
        "maximum": 130.0,
        "title": "Age",
        "description": "full years from the birthday to the loan",
        "examples": [31],
    }
    paths = {path for path in document["paths"] if path.startswith("/v1/credit_risk/")}
    assert paths == {
        f"/v1/credit_risk/{path}"
        for path in ("features/{id}", "features:batch", "predict/{id}", "predict", "model", "explain/{id}")
    }


@hypothesis_settings(max_examples=100, deadline=None)
@given(entity_id=st.one_of(st.text(min_size=1), st.integers().map(str), st.sampled_from([r.entity_id for r in ROWS])))
def test_any_id_is_answered_found_unknown_or_malformed(client: httpx.Client, entity_id: str) -> None:
    answer = client.get("/predict/", params={"user_id": entity_id.encode(errors="replace").decode()})
    known = entity_id in {row.entity_id for row in ROWS}
    assert answer.status_code in ({200} if known else {404, 422})
    assert answer.headers["content-type"] == ("application/json" if known else PROBLEM)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "ids", "rows", "age"]), inner),
    max_leaves=12,
)


@hypothesis_settings(max_examples=100, deadline=None)
@given(body=JSON_VALUES.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_body_is_answered_found_unknown_or_malformed(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in {200, 400, 404, 422}
    assert answer.headers["content-type"] == ("application/json" if answer.status_code == 200 else PROBLEM)
