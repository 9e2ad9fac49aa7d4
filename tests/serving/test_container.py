"""A model that lies in a folder, as SageMaker brings it: no lake, no registry."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_platform.errors import ModelError, PlatformError
from mlops_platform.settings import PlatformSettings
from serving.container import adopt_model
from serving.paths import serving_paths
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import ROWS
from tests.serving.test_lookups_and_predictions import expected_probability


@pytest.mark.anyio
async def test_the_model_of_the_folder_answers_also_after_another_one(
    serve: Serve, settings: PlatformSettings, forest: Trained, regression: Trained
) -> None:
    for trained in (forest, regression):
        variables = adopt_model(settings, trained.folder)
        async with serve(settings) as (client, _):
            ping = await client.get("/ping")
            answer = (await client.post("/invocations", json={"rows": [ROWS[0].features]})).json()
        assert ping.status_code == 200
        assert answer["predictions"][0]["model_version"] == "1"
        assert answer["predictions"][0]["probability"] == pytest.approx(
            expected_probability(trained, ROWS[0].entity_id), abs=1e-9
        )
    assert variables["MLOPS_SERVING_PORT"] == "8080"


def test_a_folder_without_a_model_says_so(settings: PlatformSettings, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        adopt_model(settings, tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds no model: manifest.json is missing. Remedy: mount a model folder at {tmp_path}"
    )


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda manifest: {**manifest, "threshold": 2}, "manifest.json is malformed at threshold"),
        (lambda _: [], "manifest.json is malformed at the file"),
        (lambda manifest: {**manifest, "use_case": "tosi"}, "there is no use case 'tosi'"),
        (lambda manifest: {**manifest, "label": "other"}, "was trained for another label: other"),
    ],
)
def test_a_model_that_is_not_what_this_image_knows_is_told_in_words_and_not_adopted(
    settings: PlatformSettings, tmp_path: Path, forest: Trained, damage: Callable[[Any], Any], what: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(forest.folder, folder)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(damage(json.loads(manifest.read_text()))))
    with pytest.raises(PlatformError) as error:
        adopt_model(settings, folder)
    assert what in str(error.value)
    assert not serving_paths(settings).last_good("credit_risk").exists()
