"""``mlops`` against the real service: what it shows, and what it says where the service refuses."""

import datetime as dt
import json
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from cli.exit_codes import ExitCode
from mlops_platform.audit import this_user
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Mlops, Trained
from tests.serving.processes import service_of

ENTITY = "5008804"


@pytest.fixture(scope="module")
def service(
    credit_risk: UseCase, forest: Trained, regression: Trained, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlatformSettings]:
    state_dir = tmp_path_factory.mktemp("command-line") / "state"
    with service_of(
        state_dir,
        credit_risk,
        forest.folder,
        challenger=regression.folder,
        serving_admin_token="an admin token",
        serving_read_token="a read token",
        serving_require_api_key=True,
        serving_log_bound_seconds=0,
    ) as settings:
        yield settings


def test_routing_is_shown_and_changed_one_part_at_a_time(mlops: Mlops, service: PlatformSettings) -> None:
    def shown(share: str, shadow: str) -> tuple[int, str, str]:
        return 0, f"the challenger answers {share} of the ids\nshadow predictions are {shadow}\n", ""

    assert mlops(service, "routing", "credit_risk") == shown("0", "off")
    assert mlops(service, "routing", "credit_risk", "--challenger-share", "0.1") == shown("0.1", "off")
    assert mlops(service, "routing", "credit_risk", "--shadow") == shown("0.1", "on")
    assert mlops(service, "routing", "credit_risk", "--json") == (
        0,
        '{\n  "challenger_share": 0.1,\n  "shadow": true\n}\n',
        "",
    )
    assert mlops(service, "routing", "credit_risk", "--challenger-share", "0", "--no-shadow") == shown("0", "off")
    assert mlops(service, "routing", "credit_risk", "--challenger-share", "2")[0] == 2


def test_replay_gives_the_answer_again(mlops: Mlops, service: PlatformSettings) -> None:
    answer = httpx.get(
        f"{service.serving_url}/predict/{ENTITY}", headers={"x-api-key": "an admin token"}, trust_env=False
    ).json()
    recorded = f"prediction {answer['prediction']}, probability {answer['probability']}"
    line = f"id {ENTITY} (champion, version 1; features from the snapshot): {recorded}; the same again\n"
    assert mlops(service, "replay", answer["request_id"]) == (0, line, "")


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        (
            ("replay", "0123456789abcdef"),
            "answered 404: the prediction log has no request 0123456789abcdef",
            "give the request_id of an answer, or its header x-request-id, as it stands there",
        ),
        (
            ("replay", "none"),
            "answered 422: path.request_id: String should match pattern '^[0-9a-f]{10,40}$'",
            "give the request_id of an answer, or its header x-request-id, as it stands there",
        ),
        (
            ("rollback", "credit_risk"),
            (
                "answered 503: MLflow's registry at http://127.0.0.1:1 does not answer "
                "(registered-models/get: [Errno 111] Connection refused)"
            ),
            "see that it runs: mlops status",
        ),
        (
            ("rollback", "credit_risk", "--to", "first"),
            "answered 422: body.version: String should match pattern '^[1-9][0-9]{0,8}$'",
            "give --to the number of a version; see `mlops models list credit_risk`",
        ),
        (
            ("rollback", "credit_risk", "--to", "2"),
            (
                "answered 503: MLflow's registry at http://127.0.0.1:1 does not answer "
                "(model-versions/get: [Errno 111] Connection refused)"
            ),
            "see that it runs: mlops status",
        ),
    ],
)
def test_what_the_service_refuses_has_a_remedy(
    mlops: Mlops, service: PlatformSettings, arguments: tuple[str, ...], what: str, remedy: str
) -> None:
    kinds = {"404": ExitCode.MISSING, "422": ExitCode.FAILED, "503": ExitCode.UNAVAILABLE}
    code = kinds[what.split()[1].rstrip(":")]
    assert mlops(service, *arguments) == (code, "", f"error: the prediction service {what}. Remedy: {remedy}\n")


def test_a_token_that_the_service_does_not_know_is_named(mlops: Mlops, service: PlatformSettings) -> None:
    other = service.model_copy(update={"serving_admin_token": SecretStr("another")})
    said = (
        "error: the prediction service answered 401: give an API key as `Authorization: Bearer <key>` or `X-API-Key: "
        "<key>`. Remedy: restart with ./restart.sh, which gives the service the MLOPS_SERVING_{name}_TOKEN of .env\n"
    )
    assert mlops(other, "routing", "credit_risk") == (1, "", said.format(name="ADMIN"))
    other = service.model_copy(update={"serving_read_token": SecretStr("another")})
    assert mlops(other, "predict", ENTITY) == (1, "", said.format(name="READ"))


def test_a_prediction_is_asked_for_with_the_read_token_alone(mlops: Mlops, service: PlatformSettings) -> None:
    code, printed, _ = mlops(service, "predict", ENTITY)
    assert (code, '"model_version": "1"' in printed) == (0, True)
    without = service.model_copy(update={"serving_read_token": None})
    assert mlops(without, "predict", ENTITY)[0] == 1


def test_keys_are_made_listed_and_removed(mlops: Mlops, service: PlatformSettings) -> None:
    def asked_with(key: str) -> int:
        url = f"{service.serving_url}/v1/credit_risk/model"
        return httpx.get(url, headers={"x-api-key": key}, trust_env=False).status_code

    code, printed, _ = mlops(service, "keys", "add", "dashboard")
    key = printed.strip()
    assert (code, key.startswith("mlops_"), asked_with(key)) == (0, True, 200)
    assert mlops(service, "keys", "list") == (0, "name       scope\ndashboard  read\n", "")
    assert mlops(service, "keys", "add", "dashboard", "--scope", "admin") == (
        1,
        "",
        (
            "error: the prediction service answered 409: there is a key named 'dashboard'. "
            "Remedy: choose another name, or remove that one\n"
        ),
    )
    assert mlops(service, "keys", "add", "admin token")[2].startswith(
        "error: the prediction service answered 422: body.name: String should match pattern"
    )
    assert mlops(service, "keys", "remove", "dashboard") == (0, "removed: dashboard\n", "")
    assert asked_with(key) == 401
    assert mlops(service, "keys", "remove", "dashboard") == (
        ExitCode.MISSING,
        "",
        "error: the prediction service answered 404: there is no key named 'dashboard'. Remedy: the keys are: none\n",
    )


def test_what_was_done_by_whom_is_on_record(mlops: Mlops, service: PlatformSettings) -> None:
    begun = dt.datetime.now(dt.UTC)
    mlops(service, "routing", "credit_risk", "--challenger-share", "0.25")
    mlops(service, "rollback", "credit_risk", "--to", "7")
    mlops(service, "replay", "0123456789abcdef")
    key = mlops(service, "keys", "add", "auditor")[1].strip()
    code, printed, _ = mlops(service, "audit", "--json")
    found = [entry for entry in json.loads(printed) if dt.datetime.fromisoformat(entry["at"]) >= begun]
    members = ("action", "use_case", "subject", "result", "reason")
    assert (code, [tuple(entry[name] for name in members) for entry in found]) == (
        0,
        [
            ("routing", "credit_risk", {"challenger_share": 0.25, "shadow": False}, "done", None),
            (
                "rollback",
                "credit_risk",
                {"version": "7"},
                "refused",
                (
                    "MLflow's registry at http://127.0.0.1:1 does not answer "
                    "(model-versions/get: [Errno 111] Connection refused)"
                ),
            ),
            (
                "replay",
                None,
                {"replayed": "0123456789abcdef"},
                "refused",
                "the prediction log has no request 0123456789abcdef",
            ),
            ("key made", None, {"name": "auditor", "scope": "read"}, "done", None),
        ],
    )
    assert {(entry["who"], entry["on_behalf_of"], entry["source"]) for entry in found} == {
        ("admin token", this_user(), "http from 127.0.0.1")
    }
    assert len({entry["request_id"] for entry in found}) == 4
    files = [path.read_text() for path in (service.lake_root / "audit").rglob("*.json")]
    assert not any(secret in content for content in files for secret in (key, "an admin token"))
    (line,) = mlops(service, "audit", "--use-case", "credit_risk", "--since", f"{begun:%Y-%m-%dT%H:%M:%S}")[1].split(
        "\n"
    )[2:-1]
    assert "admin token for" in line
