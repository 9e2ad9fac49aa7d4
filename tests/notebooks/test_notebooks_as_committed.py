"""The notebooks as they stand in git: valid, without outputs, with nothing in them to edit."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def cells(path: Path) -> list[nbformat.NotebookNode]:
    content: list[nbformat.NotebookNode] = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    return content


def test_there_is_one_for_each_way_to_use_the_platform() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "01_explore_features.ipynb",
        "02_train_and_read_metrics.ipynb",
        "03_call_the_api.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_a_valid_notebook_of_python_that_parses(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    for cell in cells(path):
        if cell.cell_type == "code":
            ast.parse(cell.source, filename=f"{path.name}:{cell.id}")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_holds_no_outputs_and_nothing_of_the_session_that_wrote_it(path: Path) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert raw["metadata"] == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in raw["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_ids_of_its_cells_are_its_own_and_stay(path: Path) -> None:
    expected = [f"{cell.cell_type}-{number:02d}" for number, cell in enumerate(cells(path), start=1)]
    assert [cell.id for cell in cells(path)] == expected


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_address_or_path_stands_in_it(path: Path) -> None:
    source = "\n".join(cell.source for cell in cells(path) if cell.cell_type == "code")
    assert re.findall(r"localhost|127\.0\.0\.1|https?://|spark://|thrift://|file://", source) == []
    assert re.findall(r"""["'](?:/home|/Users|/tmp|/opt|/root|\.\./)""", source) == []
    assert "load_settings()" in source
