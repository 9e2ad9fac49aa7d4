"""Every notebook from first cell to last, on the platform that runs from this checkout or that ``MLOPS_*`` names."""

from pathlib import Path

import httpx
import pytest

from mlops_platform.settings import load_settings
from tests.notebooks.execution import DEADLINE, execute

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def running_platform() -> None:
    url = load_settings().serving_url
    try:
        answer = httpx.get(f"{url}/readyz", timeout=10, trust_env=False)
    except httpx.TransportError as error:
        pytest.skip(f"no platform answers at {url} ({error}); ./start.sh starts one")
    assert answer.status_code == 200, answer.text


@pytest.mark.stack
@pytest.mark.timeout(DEADLINE + 60)
@pytest.mark.usefixtures("running_platform")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    cells = execute(path).cells
    assert [cell.id for cell in cells if cell.cell_type == "code" and cell.execution_count is None] == []
    assert path.read_bytes() == before
