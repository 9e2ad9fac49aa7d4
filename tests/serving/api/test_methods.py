"""What is answered to each method: HEAD as GET without a body, and a 405 that says what there is to any other."""

import httpx
import pytest

ADMIN = {"authorization": "Bearer an admin token"}
PATHS = (
    *("/features/5008804", "/features/5008804?source=online", "/features/?user_id=5008804", "/features/1"),
    *("/predict/5008804", "/v1/credit_risk/predict/5008804", "/v1/credit_risk/explain/5008804", "/predict/007"),
    *("/v1/credit_risk/model", "/healthz", "/readyz", "/ping", "/v2", "/v2/models/credit_risk", "/v2/health/ready"),
    *("/openapi.json", "/docs", "/admin/credit_risk/routing", "/nothing"),
)


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(asked: httpx.Client, path: str) -> None:
    got = asked.get(path, headers=ADMIN)
    head = asked.head(path, headers=ADMIN)
    assert head.content == b""
    assert head.status_code == got.status_code
    differing = {"x-request-id", "date"} | ({"content-length"} if "request_id" in got.text else set())
    assert {name: value for name, value in head.headers.items() if name not in differing} == {
        name: value for name, value in got.headers.items() if name not in differing
    }
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/predict/5008804", "GET, HEAD"),
        ("DELETE", "/features/5008804", "GET, HEAD"),
        ("HEAD", "/predict", "POST"),
        ("OPTIONS", "/admin/credit_risk/routing", "GET, HEAD, PUT"),
        ("TRACE", "/openapi.json", "GET, HEAD"),
    ],
)
def test_another_method_is_told_which_there_are(asked: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = asked.request(method, path, headers=ADMIN)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"
    assert method == "HEAD" or answer.json()["detail"] == f"{path} takes {allowed}"
