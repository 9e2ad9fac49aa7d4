"""Under which names the service is asked: no web page reaches it by a name of its own."""

from typing import Any

import httpx
import pytest

from mlops_platform.settings import PlatformSettings
from serving.api.hosts import AllowedHosts
from serving.container import adopt_model
from serving.problems import Problem
from tests.serving.conftest import Trained

HOT, OTHER = "/predict/5008804", "/healthz"


@pytest.mark.parametrize("path", [HOT, OTHER, "/nothing"])
def test_a_foreign_name_is_refused_before_anything_else(asked: httpx.Client, path: str) -> None:
    answer = asked.get(path, headers={"host": f"rebound.example:{asked.base_url.port}"})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:mlops:problem:foreign-host"
    assert problem["detail"] == (
        "the service has another name: it is asked as 127.0.0.1, [::1], localhost; further names stand in the setting "
        "MLOPS_SERVING_ALLOWED_HOSTS"
    )
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "[::1]", "[::1]:9"])
def test_loopbacks_names_are_taken_with_whatever_port(asked: httpx.Client, host: str) -> None:
    assert [asked.get(path, headers={"host": host}).status_code for path in (HOT, OTHER)] == [200, 200]


def test_a_head_gets_the_refusal_without_a_body(asked: httpx.Client) -> None:
    answer = asked.head(OTHER, headers={"host": "rebound.example"})
    assert (answer.status_code, answer.content) == (421, b"")


def refused(hosts: AllowedHosts, *given: bytes, http_version: str = "1.1") -> int | None:
    try:
        headers = [(b"accept", b"*/*"), *((b"host", one) for one in given)]
        hosts.check({"headers": headers, "http_version": http_version})
    except Problem as problem:
        return problem.status
    return None


@pytest.mark.parametrize(
    ("changes", "taken", "foreign"),
    [
        ({}, [b"127.0.0.1:8000"], [b"serving:8000", b"", b"localhost.evil.example", b"127.0.0.1.evil.example", b"["]),
        ({"serving_host": "serving"}, [b"serving:8000", b"SERVING"], [b"0.0.0.0:8000"]),
        ({"bind_address": "0.0.0.0"}, [], [b"0.0.0.0:8000", b"10.0.0.7"]),  # noqa: S104
        ({"bind_address": "fd00::1"}, [b"[fd00::1]:8000"], [b"[fd00::2]"]),
        ({"serving_allowed_hosts": "risk.example, fd00::2"}, [b"risk.example", b"[fd00::2]:80"], [b"example"]),
        ({"serving_allowed_hosts": "*"}, [b"whatever"], []),
    ],
)
def test_an_installation_has_the_names_of_its_settings(
    settings: PlatformSettings, changes: dict[str, Any], taken: list[bytes], foreign: list[bytes]
) -> None:
    hosts = AllowedHosts(settings.model_copy(update=changes))
    assert [refused(hosts, host) for host in taken] == [None] * len(taken)
    assert [refused(hosts, host) for host in foreign] == [421] * len(foreign)


def test_a_request_has_one_name(settings: PlatformSettings) -> None:
    hosts = AllowedHosts(settings)
    assert refused(hosts) == 400
    assert refused(hosts, http_version="1.0") is None
    assert refused(hosts, b"localhost", b"localhost") == 400


def test_as_a_container_of_sagemaker_it_is_asked_by_any_name(settings: PlatformSettings, forest: Trained) -> None:
    assert adopt_model(settings, forest.folder)["MLOPS_SERVING_ALLOWED_HOSTS"] == "*"
