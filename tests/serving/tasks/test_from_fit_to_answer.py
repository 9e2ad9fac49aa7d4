"""Several classes and numbers, from training to an answer by HTTP: compiled models, and those that nothing compiles."""

import asyncio
import csv
import json
import logging
import math
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.errors import ModelError
from mlops_platform.lake.lake import Lake
from mlops_platform.models.manifest import manifest_sha256
from mlops_platform.models.outcome import Score
from mlops_platform.models.scorer import Row, load_scorer
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.task import METRICS
from serving.log.publish import publish
from serving.log.schema import hive_columns
from serving.log.search import find
from serving.log.table import PredictionTable
from serving.model import Registration, load
from serving.paths import serving_paths
from tests.serving.conftest import ADMIN, Serve
from tests.serving.installation import REGISTERED_AT
from tests.serving.predict.test_records import records
from tests.serving.tasks.conftest import IDS, TrainedUseCase

pytestmark = pytest.mark.anyio

TO_12_DIGITS = 5e-12
FAMILIES = ["gradient_boosting", "nearest_neighbours"]
NUMBER_FAMILIES = ["gradient_boosting", "support_vectors"]


def test_training_measures_and_judges_by_the_tasks_own_metrics(wine: TrainedUseCase, diabetes: TrainedUseCase) -> None:
    for trained in (wine, diabetes):
        verdict = trained.verdict
        assert (verdict.accepted, verdict.failed_rules) == (True, ())
        assert tuple(verdict.metrics) == METRICS[trained.use_case.task]
    figures = json.loads((wine.models / "gradient_boosting" / "metrics.json").read_text())
    assert figures["training_rows"] + figures["holdout_rows"] == 177  # one wine has no label
    assert sum(figures["holdout_classes"].values()) == figures["holdout_rows"]
    assert sum(map(sum, figures["holdout"]["confusion"])) == figures["holdout_rows"]
    assert figures["baseline"]["roc_auc_ovr"] == 0.5
    figures = json.loads((diabetes.models / "gradient_boosting" / "metrics.json").read_text())
    assert figures["holdout"]["rmse"] < figures["baseline"]["rmse"]
    assert "threshold" not in figures


def test_a_model_is_compiled_or_says_why_not(wine: TrainedUseCase, diabetes: TrainedUseCase) -> None:
    for trained in (wine, diabetes):
        manifest = trained.manifest("gradient_boosting")
        assert (manifest.task, manifest.threshold, manifest.not_compiled) == (trained.use_case.task, None, None)
        assert (trained.models / "gradient_boosting" / "model.onnx").is_file()
    without = wine.manifest("nearest_neighbours")
    assert (without.compiled, without.not_compiled) == (
        None,
        "it cannot be translated (NotImplementedError: metric='canberra' is not implemented.)",
    )
    assert "model.onnx" not in without.files
    assert diabetes.manifest("support_vectors").compiled is None


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_class_is_answered_with_the_probabilities_of_all(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase, family: str
) -> None:
    expected = wine.expected(family)
    classes = wine.use_case.label.classes
    async with serve(wine.install(settings, family), (wine.use_case,)) as (client, _):
        one = (await client.get(f"/v1/wine/predict/{IDS[0]}")).json()
        several = (await client.post("/v1/wine/predict", json={"ids": [*map(str, IDS), "999"]})).json()["predictions"]
        by_row = (await client.post("/v1/wine/predict", json={"rows": wine.features})).json()["predictions"]
    for row, probabilities in zip(several[:3], expected, strict=True):
        assert list(row["probabilities"]) == list(classes)
        assert list(row["probabilities"].values()) == pytest.approx(list(probabilities), abs=1e-12)
        assert row["prediction"] == classes[probabilities.argmax()]
        assert "probability" not in row
    assert [row["prediction"] for row in several] == [classes[0], classes[1], classes[2], None]
    assert several[3]["probabilities"] is None
    assert (one["prediction"], one["probabilities"]) == (several[0]["prediction"], several[0]["probabilities"])
    assert [row["probabilities"] for row in by_row] == [row["probabilities"] for row in several[:3]]


@pytest.mark.parametrize("family", NUMBER_FAMILIES)
async def test_a_number_is_answered_as_it_is(
    serve: Serve, settings: PlatformSettings, diabetes: TrainedUseCase, family: str
) -> None:
    async with serve(diabetes.install(settings, family), (diabetes.use_case,)) as (client, _):
        one = (await client.get(f"/v1/diabetes/predict/{IDS[1]}")).json()
        several = (await client.post("/v1/diabetes/predict", json={"ids": [*map(str, IDS), "999"]})).json()[
            "predictions"
        ]
        by_row = (await client.post("/v1/diabetes/predict", json={"rows": diabetes.features})).json()["predictions"]
    numbers = [row["prediction"] for row in several]
    assert numbers[:3] == pytest.approx(list(diabetes.expected(family)), rel=TO_12_DIGITS)
    assert numbers[3] is None
    assert one["prediction"] == numbers[1]
    assert [row["prediction"] for row in by_row] == numbers[:3]
    assert not {"probability", "probabilities"} & several[0].keys()


@pytest.mark.parametrize("family", FAMILIES)
async def test_an_explanation_of_a_class_adds_up_to_its_probability(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase, family: str
) -> None:
    async with serve(wine.install(settings, family), (wine.use_case,)) as (client, _):
        told = (await client.get(f"/v1/wine/explain/{IDS[2]}")).json()
    assert told["prediction"] == "Barbera d'Asti"
    shares = [one["contribution"] for one in told["contributions"]]
    assert told["base_probability"] == pytest.approx(wine.expected(family)[:, 2].mean(), abs=1e-12)
    assert math.fsum(shares) + told["base_probability"] == pytest.approx(
        told["probabilities"]["Barbera d'Asti"], abs=1e-9
    )
    assert "raises the probability of 'Barbera d'Asti' by" in told["reasons"][0]["text"]


@pytest.mark.parametrize("family", NUMBER_FAMILIES)
async def test_an_explanation_of_a_number_adds_up_to_it(
    serve: Serve, settings: PlatformSettings, diabetes: TrainedUseCase, family: str
) -> None:
    async with serve(diabetes.install(settings, family), (diabetes.use_case,)) as (client, _):
        told = (await client.get(f"/v1/diabetes/explain/{IDS[0]}")).json()
    shares = [one["contribution"] for one in told["contributions"]]
    assert told["base_prediction"] == pytest.approx(diabetes.expected(family).mean(), abs=1e-9)
    assert math.fsum(shares) + told["base_prediction"] == pytest.approx(told["prediction"], abs=1e-8)
    strongest = max(told["contributions"], key=lambda one: abs(one["contribution"]))
    verb = "raises" if strongest["contribution"] > 0 else "lowers"
    assert f"{verb} the prediction by {abs(strongest['contribution']):.4f}" in told["reasons"][0]["text"]


async def test_the_model_card_says_what_runs_it(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "serving.model")
    async with serve(wine.install(settings, "nearest_neighbours"), (wine.use_case,)) as (client, _):
        card = (await client.get("/v1/wine/model")).json()
        readiness = (await client.get("/readyz", headers=ADMIN)).json()
        metadata = (await client.get("/v2/models/wine")).json()
    reason = wine.manifest("nearest_neighbours").not_compiled
    assert (card["task"], card["classes"], card["threshold"]) == ("multiclass", list(wine.use_case.label.classes), None)
    assert (card["compiled"], card["not_compiled"]) == (False, reason)
    assert readiness["status"] == "ready"
    assert readiness["use_cases"]["wine"]["model_not_compiled"] == reason
    assert metadata["platform"] == "sklearn"
    assert "model without a compiled form, run by scikit-learn: slower" in caplog.messages


async def test_v2_has_a_column_for_each_class(serve: Serve, settings: PlatformSettings, wine: TrainedUseCase) -> None:
    by_id = {"inputs": [{"name": "id", "shape": [3], "datatype": "BYTES", "data": [str(one) for one in IDS]}]}
    classes = list(wine.use_case.label.classes)
    async with serve(wine.install(settings, "gradient_boosting"), (wine.use_case,)) as (client, _):
        metadata = (await client.get("/v2/models/wine")).json()
        answer = (await client.post("/v2/models/wine/infer", json=by_id)).json()
        refused = await client.post("/v2/models/wine/infer", json={**by_id, "outputs": [{"name": "probability"}]})
    assert metadata["platform"] == "onnx"
    assert metadata["outputs"] == [
        {"name": "prediction", "datatype": "BYTES", "shape": [-1, 1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, 3], "parameters": {"classes": classes}},
    ]
    prediction, probabilities = answer["outputs"]
    assert prediction == {"name": "prediction", "shape": [3, 1], "datatype": "BYTES", "data": classes}
    assert (probabilities["shape"], probabilities["datatype"]) == ([3, 3], "FP64")
    expected = wine.expected("gradient_boosting").ravel().tolist()
    assert probabilities["data"] == pytest.approx(expected, abs=1e-12)
    assert refused.json()["detail"] == "outputs: there are prediction, probabilities"


async def test_v2_has_a_number_as_a_double(serve: Serve, settings: PlatformSettings, diabetes: TrainedUseCase) -> None:
    tensors = [
        {
            "name": name,
            "shape": [3, 1],
            "datatype": "BYTES" if name == "sex" else "FP64",
            "data": [row[name] for row in diabetes.features],
        }
        for name in diabetes.use_case.feature_names
    ]
    async with serve(diabetes.install(settings, "gradient_boosting"), (diabetes.use_case,)) as (client, _):
        answer = (await client.post("/v2/models/diabetes/infer", json={"inputs": tensors})).json()
    (prediction,) = answer["outputs"]
    assert (prediction["name"], prediction["shape"], prediction["datatype"]) == ("prediction", [3, 1], "FP64")
    assert prediction["data"] == pytest.approx(list(diabetes.expected("gradient_boosting")), rel=TO_12_DIGITS)


async def test_sagemakers_csv_has_the_class_and_each_probability_or_the_number(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase, diabetes: TrainedUseCase
) -> None:
    async def lines(trained: TrainedUseCase, at: PlatformSettings) -> list[list[str]]:
        async with serve(trained.install(at, "gradient_boosting"), (trained.use_case,)) as (client, _):
            body = {"ids": [str(IDS[0]), "999"]}
            answer = await client.post("/invocations", json=body, headers={"accept": "text/csv"})
        return list(csv.reader(answer.text.splitlines()))

    first, unknown = await lines(wine, settings)
    assert first[0] == "Nebbiolo"
    assert [float(field) for field in first[1:]] == pytest.approx(wine.expected("gradient_boosting")[0], abs=1e-12)
    assert unknown == ["", "", "", ""]
    elsewhere = settings.model_copy(update={"state_dir": settings.state_dir / "other"})
    number, nothing = await lines(diabetes, elsewhere)
    assert float(number[0]) == pytest.approx(diabetes.expected("gradient_boosting")[0], rel=TO_12_DIGITS)
    assert (len(number), nothing) == (1, [""])


@pytest.mark.parametrize(("name", "family"), [("wine", "nearest_neighbours"), ("diabetes", "gradient_boosting")])
async def test_a_prediction_is_recorded_and_replayed(
    serve: Serve, settings: PlatformSettings, name: str, family: str, request: pytest.FixtureRequest
) -> None:
    trained: TrainedUseCase = request.getfixturevalue(name)
    installed = trained.install(settings, family)
    async with serve(installed, (trained.use_case,)) as (client, _):
        asked = (await client.get(f"/v1/{name}/predict/{IDS[1]}")).json()
        (recorded,) = records(installed)
        replay = (await client.get(f"/admin/replay/{asked['request_id']}", headers=ADMIN)).json()
    assert recorded["label"] == asked["prediction"]
    assert recorded.get("probabilities") == asked.get("probabilities")
    assert "score" not in recorded
    (answer,) = replay["answers"]
    outcome = {name: asked[name] for name in ("prediction", "probabilities") if name in asked}
    assert (answer["recorded"], answer["replayed"], answer["same"]) == (outcome, outcome, True)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("wine", "`probabilities` MAP<STRING, DOUBLE>, `label` STRING"),
        ("diabetes", "`label` DOUBLE"),
    ],
)
async def test_what_was_published_is_found_as_it_was_recorded(
    serve: Serve, settings: PlatformSettings, name: str, columns: str, request: pytest.FixtureRequest
) -> None:
    trained: TrainedUseCase = request.getfixturevalue(name)
    installed = trained.install(settings, "gradient_boosting")
    elsewhere = settings.model_copy(update={"state_dir": settings.state_dir / "elsewhere"})  # without a publisher
    segment = serving_paths(elsewhere).log / "worker.jsonl"
    segment.parent.mkdir(parents=True)
    async with serve(installed, (trained.use_case,)) as (client, _):
        asked = (await client.post(f"/v1/{name}/predict", json={"ids": [str(one) for one in IDS]})).json()
        recorded = records(installed)
    segment.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in recorded))
    assert publish(elsewhere).segments == 1
    found = find(elsewhere, asked["request_id"])
    # times are kept in microseconds
    times = [pytest.approx(record.pop("time"), abs=2e-6) for record in recorded]
    assert [record.pop("time") for record in found] == times
    assert found == recorded
    assert f"{columns}, `model_version` STRING" in hive_columns(
        PredictionTable(Lake(elsewhere.lake_root), name).schema()
    )


async def test_the_api_document_names_the_classes(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase
) -> None:
    async with serve(wine.install(settings, "gradient_boosting"), (wine.use_case,)) as (client, _):
        schemas: dict[str, Any] = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert schemas["WinePrediction"]["properties"]["prediction"]["enum"] == list(wine.use_case.label.classes)
    (example,) = schemas["WinePrediction"]["examples"]
    assert sum(example["probabilities"].values()) == pytest.approx(1)


def test_a_pipeline_is_not_unpickled_before_it_is_verified(wine: TrainedUseCase, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(wine.models / "nearest_neighbours", folder)
    (folder / "model.joblib").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    registration = Registration(version="1", manifest_sha256=manifest_sha256(folder), registered_at=REGISTERED_AT)
    with pytest.raises(ModelError, match=r"model\.joblib has the sha256"):
        load(folder, wine.use_case, registration)


def test_a_pipeline_of_another_scikit_learn_is_refused(wine: TrainedUseCase) -> None:
    folder = wine.models / "nearest_neighbours"
    manifest = wine.manifest("nearest_neighbours").model_copy(update={"libraries": {"scikit-learn": "1.0.0"}})
    with pytest.raises(ModelError, match=r"^model\.joblib was made by scikit-learn 1\.0\.0, here is 1\."):
        load_scorer(folder, manifest, wine.use_case)


async def test_a_model_that_is_slow_holds_up_nobody_else(
    serve: Serve, settings: PlatformSettings, wine: TrainedUseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(wine.install(settings, "nearest_neighbours"), (wine.use_case,)) as (client, service):
        champion = service.runtime.served["wine"].champion
        assert champion is not None
        answered, score_rows = threading.Event(), champion.scorer.score_rows

        def slow(rows: Sequence[Row]) -> list[Score]:
            assert answered.wait(20)
            return score_rows(rows)

        monkeypatch.setattr(champion.scorer, "score_rows", slow)
        one = asyncio.create_task(client.get(f"/v1/wine/predict/{IDS[0]}"))
        several = asyncio.create_task(client.post("/v1/wine/predict", json={"rows": wine.features}))
        assert (await client.get(f"/v1/wine/features/{IDS[0]}")).status_code == 200
        answered.set()
        assert [(await one).status_code, (await several).status_code] == [200, 200]
