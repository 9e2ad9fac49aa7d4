"""The short paths that Titanic and song genre declare, with models of the real data."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import Candidate
from tests.real_data import passengers, songs
from tests.serving.conftest import Serve
from tests.serving.installation import keep_model, write_model
from training.dataset import Dataset
from training.families import build
from training.oversampling import as_fitted

pytestmark = pytest.mark.anyio

FIRST_CLASS = [17, 0, 1, 53.1, 0, 0, 1, 1, 0, 1, 0, 0]
THIRD_CLASS = [23, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1]
SONG: dict[str, list[float]] = {
    "popularity": [68],
    "danceability": [0.826],
    "energy": [0.704],
    "key": [9.0],
    "loudness": [-7.527],
    "mode": [1.0],
    "speechiness": [0.117],
    "acousticness": [0.189],
    "instrumentalness": [4.8e-05],
    "liveness": [0.0617],
    "valence": [0.741],
    "tempo": [94.013],
    "duration": [205000],
    "id_new": [0],
}


@pytest.fixture(scope="module")
def trained(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a model by its family."""
    folder = tmp_path_factory.mktemp("trained")
    forest = Candidate(family="random_forest", parameters={"n_estimators": 30, "max_depth": 6})
    trees = Candidate(family="gradient_boosting", parameters={"n_estimators": 30})
    _write(folder, "titanic", Candidate(family="linear_svc"), passengers(real_data))
    _write(folder, "titanic", forest, passengers(real_data))
    _write(folder, "song_genre", trees, songs(real_data))
    return {path.name: path for path in folder.iterdir()}


def _write(parent: Path, name: str, candidate: Candidate, rows: Dataset) -> None:
    use_case = get_use_case(name)
    pipeline = as_fitted(build(use_case, candidate, 1).fit(rows.inputs, rows.label))
    write_model(parent / candidate.family, use_case, pipeline, candidate.family)


@pytest.fixture
async def client(
    settings: PlatformSettings, serve: Serve, trained: dict[str, Path]
) -> AsyncIterator[httpx.AsyncClient]:
    """Of a service without a snapshot: rows need none."""
    keep_model(settings, "titanic", "1", trained["linear_svc"], alias="champion")
    keep_model(settings, "titanic", "2", trained["random_forest"], alias="challenger")
    keep_model(settings, "song_genre", "1", trained["gradient_boosting"], alias="champion")
    async with serve(settings) as (connected, _):
        yield connected


async def test_passengers_are_scored_by_either_model(client: httpx.AsyncClient) -> None:
    for model in ("", "?model=2", "?model=random_forest", "?model=linear_svc"):
        first = await client.post(f"/score{model}", json={"data": [FIRST_CLASS]})
        third = await client.post(f"/score{model}", json={"data": [THIRD_CLASS]})
        both = await client.post(f"/score{model}", json={"data": [FIRST_CLASS, THIRD_CLASS]})
        assert [first.text, third.text, both.text] == ["[1]", "[0]", "[1,0]"]


async def test_a_passenger_of_two_ports_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/score", json={"data": [[17, 0, 1, 53.1, 1, 0, 1, 1, 0, 1, 0, 0]]})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "body.data.0: C, S are 1: embarked has one value",
    )


async def test_songs_are_told_by_columns(client: httpx.AsyncClient) -> None:
    one = await client.post("/get_prediction", json={"data": SONG})
    two = await client.post("/get_prediction", json={"data": {name: values * 2 for name, values in SONG.items()}})
    assert [one.text, two.text] == ['{"prediction":1}', '{"prediction":[1,1]}']
    health = await client.get("/check_service")
    assert (health.status_code, health.text) == (200, '{"Message":"The service is up"}')
