"""Every id that a store holds can be asked for, on every path that takes one."""

from typing import Any
from urllib.parse import quote

import pytest

from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS, keep_model, publish_snapshot, write_model

pytestmark = pytest.mark.anyio

IDS = ("a/b", "/", "%2F", "a%2Fb", "a b+c", "..", "Zoë/李?#", "x" * 511, "é" * 255, "007")
UNKNOWN = ("a", "a/c", "é" * 256, "\U0001f600" * 511)
MALFORMED = ("", "x" * 512, "a\nb", "a\x7f", "a\x85")


@pytest.fixture
def texts(credit_risk: UseCase) -> UseCase:
    """Credit risk as it would be with customers named by text."""
    raw = tuple(
        column.model_copy(update={"type": "string"}) if column.name == credit_risk.entity_key else column
        for column in credit_risk.raw
    )
    return credit_risk.model_copy(update={"raw": raw})


@pytest.fixture
def of_texts(settings: PlatformSettings, texts: UseCase, forest: Trained) -> PlatformSettings:
    """An installation whose snapshot has these ids, each with an age of its own."""
    rows = [FeatureRow(text, None, {**ROWS[0].features, "age": 20 + at}) for at, text in enumerate(IDS)]
    publish_snapshot(settings, texts, "texts", rows)
    model = settings.state_dir.parent / "model"  # of this spec: another would not fit the snapshot
    write_model(model, texts, forest.pipeline, "random_forest")
    keep_model(settings, texts.name, "1", model, alias="champion")
    return settings


async def test_a_text_is_found_by_path_query_body_and_tensor(
    serve: Serve, of_texts: PlatformSettings, texts: UseCase
) -> None:
    by_tensor = {"inputs": [{"name": "id", "shape": [len(IDS)], "datatype": "BYTES", "data": list(IDS)}]}
    async with serve(of_texts, (texts,)) as (client, _):
        batch = (await client.post("/predict", json={"ids": IDS})).json()["predictions"]
        tensors = (await client.post("/v2/models/credit_risk/infer", json=by_tensor)).json()["outputs"][1]["data"]
        for at, text in enumerate(IDS):
            encoded = quote(text, safe="").replace(".", "%2E")
            for prefix in ("", "/v1/credit_risk"):
                features = await client.get(f"{prefix}/features/{encoded}")
                prediction = await client.get(f"{prefix}/predict/{encoded}")
                assert (features.status_code, features.json()["age"]) == (200, 20 + at)
                assert (prediction.status_code, prediction.json()["id"]) == (200, text)
            asked = await client.get("/predict/", params={"user_id": text})
            explained = await client.get(f"/v1/credit_risk/explain/{encoded}")
            posted = await client.post("/predict", json={"id": text})
            found = [answer.json()["id"] for answer in (asked, explained, posted)]
            assert found == [text] * 3
            assert batch[at]["id"] == text
            assert batch[at]["probability"] == tensors[at] == posted.json()["probability"]


@pytest.mark.parametrize(("texts_asked", "status"), [(UNKNOWN, 404), (MALFORMED, 422)])
async def test_other_texts_are_unknown_or_malformed(
    serve: Serve, of_texts: PlatformSettings, texts: UseCase, texts_asked: tuple[str, ...], status: int
) -> None:
    async with serve(of_texts, (texts,)) as (client, _):
        for text in texts_asked:
            answers = [
                await client.get("/predict/", params={"user_id": text}),
                await client.post("/predict", json={"id": text}),
                await client.get(f"/features/{quote(text, safe='')}") if text else None,
            ]
            assert {answer.status_code for answer in answers if answer is not None} == {status}


async def test_a_path_of_no_text_is_refused_and_a_slash_that_is_not_encoded_parts_segments(
    serve: Serve, of_texts: PlatformSettings, texts: UseCase
) -> None:
    async with serve(of_texts, (texts,)) as (client, _):
        no_text = await client.get("/features/%FF")
        parted = await client.get("/features/a/b")
        encoded_route = await client.get("/%66eatures/007")
    assert (no_text.status_code, no_text.json()["detail"]) == (400, "the path: expected percent-encoded UTF-8")
    assert (parted.status_code, parted.json()["detail"]) == (404, "there is nothing at /features/a/b")
    assert encoded_route.json()["age"] == 20 + IDS.index("007")


async def test_an_encoded_slash_opens_no_way_round_a_key(serve: Serve, installation: PlatformSettings) -> None:
    settings = installation.model_copy(update={"serving_require_api_key": True})
    async with serve(settings) as (client, _):
        statuses = [
            (await client.get(path)).status_code
            for path in ("/admin%2Fcredit_risk/routing", "/%61dmin/credit_risk/routing", "/v1%2Fcredit_risk/predict/1")
        ]
    assert statuses == [401] * 3


@pytest.mark.parametrize(
    ("number", "status"),
    [(5008804, 200), (5008804.0, 200), (-(2**53) + 1, 404), (2**53, 422), (5008804.5, 422), (True, 422)],
)
async def test_a_number_in_json_is_its_decimal_text(
    serve: Serve, installation: PlatformSettings, number: float, status: int
) -> None:
    async with serve(installation) as (client, _):
        answer = await client.post("/predict", json={"id": number})
    assert answer.status_code == status


@pytest.mark.parametrize("given", [5, 5.0, True, None])
async def test_a_text_key_takes_text_only(
    serve: Serve, of_texts: PlatformSettings, texts: UseCase, given: object
) -> None:
    async with serve(of_texts, (texts,)) as (client, _):
        assert (await client.post("/predict", json={"id": given})).status_code == 422


def documented_ids(document: dict[str, Any]) -> list[Any]:
    """The schema of an id in paths, in a query and in a body."""
    paths = document["paths"]
    asked = [paths[path]["get"]["parameters"][0] for path in ("/predict/{id}", "/features/{id}", "/predict/")]
    asked.append(paths["/v1/credit_risk/explain/{id}"]["get"]["parameters"][0])
    by_id = document["components"]["schemas"]["CreditRiskById"]["properties"]["id"]
    return [*(parameter["schema"] for parameter in asked), by_id]


async def test_the_document_has_the_grammar_of_whole_numbers(serve: Serve, settings: PlatformSettings) -> None:
    async with serve(settings) as (client, _):
        *asked, body = documented_ids((await client.get("/openapi.json")).json())
    pattern = "^(0|-?[1-9][0-9]{0,18})$"
    assert [schema["pattern"] for schema in asked] == [pattern] * 4
    assert body["anyOf"] == [
        {"type": "string", "pattern": pattern},
        {"type": "integer", "minimum": 1 - 2**53, "maximum": 2**53 - 1},
    ]


async def test_the_document_has_the_grammar_of_texts(serve: Serve, settings: PlatformSettings, texts: UseCase) -> None:
    async with serve(settings, (texts,)) as (client, _):
        found = documented_ids((await client.get("/openapi.json")).json())
    assert [(schema["pattern"], schema["maxLength"]) for schema in found] == [(r"^[^\x00-\x1f\x7f-\x9f]+$", 511)] * 5
