"""What is noted of what was served, and what an older platform noted."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from mlops_platform.settings import PlatformSettings
from serving.follow.last_good import LastGood, LastGoodFile
from serving.model import Registration
from serving.paths import serving_paths
from tests.older_state import unpack_older_state
from tests.serving.conftest import ADMIN, Serve


def registration(version: str, digest: str) -> Registration:
    return Registration(
        version=version, manifest_sha256=digest * 64, registered_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    )


ONE, TWO, THREE = registration("1", "a"), registration("2", "b"), registration("3", "c")
ONE_AGAIN = registration("1", "d")


@pytest.fixture
def file(tmp_path: Path) -> LastGoodFile:
    return LastGoodFile(tmp_path / "last_good" / "toy.json", tmp_path / "models", tmp_path / "snapshots")


@pytest.mark.parametrize(
    ("champions", "expected"),
    [
        ((ONE, TWO, THREE), (ONE, TWO, THREE)),
        ((ONE, ONE), (ONE,)),
        ((ONE, TWO, THREE, ONE), (ONE,)),  # going back forgets those after
        ((ONE, TWO, ONE, THREE), (ONE, THREE)),
        ((ONE, ONE_AGAIN), (ONE, ONE_AGAIN)),  # a registry that was reset
        ((ONE, TWO, registration("7", "a")), (registration("7", "a"),)),  # the same model, registered anew
    ],
)
def test_the_champions_are_noted_in_their_order(
    file: LastGoodFile, champions: tuple[Registration, ...], expected: tuple[Registration, ...]
) -> None:
    for champion in champions:
        file.note(None, champion, None)
    assert file.read() == LastGood(champions=expected)


def test_no_more_champions_are_noted_than_are_kept(file: LastGoodFile) -> None:
    for number in range(12):
        file.note(None, registration(str(number), f"{number:x}"), None)
    assert [one.version for one in file.read().champions] == [str(number) for number in range(2, 12)]


def test_a_challenger_that_is_gone_is_forgotten_and_a_champion_is_not(file: LastGoodFile) -> None:
    file.note(None, ONE, TWO)
    file.note(None, None, None)
    assert file.read() == LastGood(champions=(ONE,))


def test_a_note_that_cannot_be_read_is_none(file: LastGoodFile, tmp_path: Path) -> None:
    file.note(None, ONE, None)
    (tmp_path / "last_good" / "toy.json").write_text('{"champions": [')
    assert file.read() == LastGood()


@pytest.mark.anyio
@pytest.mark.parametrize("lake", ["there", "gone"])
async def test_the_state_of_an_older_platform_is_served_on(serve: Serve, tmp_path: Path, lake: str) -> None:
    """As commit 3057a11 left it: copies by version number, and three files that say which were good."""
    unpack_older_state(tmp_path, "var/serving/", "var/lake/features/", "var/lake/online/")
    settings = PlatformSettings(
        state_dir=tmp_path / "var", mlflow_port=1, hiveserver2_port=1, serving_admin_token="an admin token"
    )
    if lake == "gone":
        shutil.rmtree(settings.lake_root)
    for _ in range(2):  # as it was left, and as this platform notes it
        async with serve(settings) as (client, _):
            answer = (await client.get("/predict/5008804")).json()
            state = (await client.get("/readyz", headers=ADMIN)).json()["use_cases"]["credit_risk"]
        assert (answer["model_version"], answer["probability"]) == ("2", pytest.approx(0.005846638839, abs=1e-12))
        assert (state["status"], state["model_refused"], state["snapshot_refused"]) == ("ready", None, None)
    noted = LastGood.model_validate_json(serving_paths(settings).last_good("credit_risk").read_bytes())
    assert noted.champion is not None
    assert noted.snapshot is not None
    assert (noted.champion.version, noted.snapshot.snapshot) == ("2", answer["snapshot"])
