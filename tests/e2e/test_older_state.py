"""This platform on the state that an older one left.

``layout_1.tar.xz`` is the state of commit 3057a11 after ``./start.sh --mode local --rows 2000`` and ``./stop.sh`` in a
checkout at ``ROOT``, which Derby and Hive have written down: the lake, the databases of MLflow, Airflow and the
metastore, and the prediction service's folder. Left out are logs, caches, locks, and the admin's password.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_platform.settings import load_settings
from mlops_platform.state import LAYOUT
from tests.e2e.conftest import RunningPlatform, copy_of_checkout, with_env_file
from tests.older_state import unpack_older_state

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

ROOT = Path("/tmp/mlops-layout-1")
ANSWERS = {"5008804": 0.005846638839, "5008827": 0.015310773608}
"""Probabilities that the older platform gave these ids."""


@pytest.fixture(scope="module")
def older(project_root: Path) -> Iterator[RunningPlatform]:
    """The older state below a copy of this checkout, and nothing started yet."""
    if ROOT.exists():  # of a run of this test that was killed
        RunningPlatform(ROOT, load_settings(ROOT / ".env"), "").command("./reset.sh", "--yes", expect=None)
        shutil.rmtree(ROOT)
    copy_of_checkout(project_root, ROOT)
    unpack_older_state(ROOT)
    env_file = with_env_file(ROOT)
    settings = load_settings(env_file).model_copy(update={"state_dir": ROOT / "var", "project_root": ROOT})
    platform = RunningPlatform(ROOT, settings, "")
    try:
        yield platform
    finally:
        print(platform.command("./stop.sh", expect=None))  # noqa: T201 - shown by pytest where a test failed
        for path in sorted((ROOT / "var" / "log").glob("*.log")):
            print(f"--- {path.name}\n" + path.read_text(errors="replace")[-3000:])  # noqa: T201
        shutil.rmtree(ROOT)


def test_the_champion_of_the_older_platform_predicts_the_same(older: RunningPlatform) -> None:
    before = older.published("credit_risk")["snapshot"]
    output = older.command("./start.sh", "--mode", "local")
    assert f"The state has the layout {LAYOUT} now; it was" in output
    assert "Running the pipeline of credit_risk" not in output
    for entity_id, probability in ANSWERS.items():
        answer = older.get(f"/predict/{entity_id}")
        assert answer["probability"] == pytest.approx(probability, abs=1e-12)
        assert answer["snapshot"] == before
    assert json.loads((older.settings.lake_root / "layout.json").read_text(encoding="utf-8")) == {"layout": LAYOUT}


def test_the_pipeline_goes_on_from_there(older: RunningPlatform) -> None:
    before = older.published("credit_risk")
    output = older.mlops("run", "credit_risk", "features", "--wait")
    after = older.published("credit_risk")
    assert after["snapshot"] != before["snapshot"]
    assert (after["rows"], after["entities"]) == (before["rows"], before["entities"])
    assert "credit_risk_training" in output
    versions = json.loads(older.mlops("models", "list", "credit_risk", "--json"))
    assert after["snapshot"] in {version["tags"]["snapshot"] for version in versions}
    for entity_id in ANSWERS:
        assert older.get(f"/predict/{entity_id}")["id"] == entity_id
