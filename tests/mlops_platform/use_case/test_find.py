"""Use cases are folders, of this project and of those that MLOPS_USE_CASES names; a broken one is alone in that."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[2] / "use_cases"

OURS = "usable credit_risk song_genre titanic"
LIST = """
from mlops_platform.use_case.find import find_use_cases
found = find_use_cases()
print("usable", *(use_case.name for use_case in found.usable))
for error in found.broken:
    print("broken", error.name, error)
"""
IMPORT = """
from mlops_platform.use_case.find import import_part
print(import_part("toy", "model", purpose="").BUILDERS.keys() >= {"random_forest"})
import use_cases.toy.features
print(use_cases.toy.features.__file__)
"""


def in_process(project_root: Path, program: str, *folders: Path) -> list[str]:
    """What a program prints in a process whose use cases come from these folders too."""
    environment = {**os.environ, "MLOPS_USE_CASES": os.pathsep.join(map(str, folders)), "PYTHONPATH": str(project_root)}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_folder_outside_the_project_brings_its_use_cases(project_root: Path) -> None:
    assert in_process(project_root, LIST, TOY) == [f"{OURS} toy"]
    assert in_process(project_root, IMPORT, TOY) == ["True", str(TOY / "toy" / "features.py")]


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("USE_CASE = (\n", "line 1: SyntaxError: '(' was never closed"),
        ("x = 1\n\nraise RuntimeError('boom')\n", "line 3: RuntimeError: boom"),
        ("USE_CASE = 7\n", ": USE_CASE is no UseCase"),
        ("from use_cases.credit_risk.spec import USE_CASE\n", ": the use case is named 'credit_risk'"),
        ("", "AttributeError"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    ],
)
def test_a_broken_use_case_says_why_and_where_and_leaves_the_others_alone(
    project_root: Path, tmp_path: Path, spec: str, reason: str
) -> None:
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "spec.py").write_text(spec)
    usable, broken = in_process(project_root, LIST, tmp_path, TOY)
    assert usable == f"{OURS} toy"
    assert broken.startswith(f"broken wrong {tmp_path}/wrong/spec.py")
    assert reason in broken


def test_two_folders_of_one_name_are_refused_not_chosen_from(project_root: Path, tmp_path: Path) -> None:
    shutil.copytree(TOY / "toy", tmp_path / "toy")
    usable, broken = in_process(project_root, LIST, TOY, tmp_path)
    assert usable == OURS
    assert f"two folders are called toy: {TOY / 'toy'}, {tmp_path / 'toy'}" in broken


def test_of_two_specs_that_claim_one_path_the_later_is_refused_and_both_are_named(
    project_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(TOY / "toy", tmp_path / "a_toy")
    spec = tmp_path / "a_toy" / "spec.py"
    claim = "UseCase(short_paths=({'shape': 'health', 'path': '/predict', 'answer': {}},),"
    spec.write_text(spec.read_text().replace('name="toy"', 'name="a_toy"').replace("= UseCase(", f"= {claim}"))
    usable, broken = in_process(project_root, LIST, tmp_path)
    assert usable == OURS
    assert broken == (
        f"broken a_toy {spec}: a_toy claims the short path /predict, and so does credit_risk. "
        "Remedy: give one of them another: credit_risk keeps it"
    )


def test_a_folder_that_is_named_twice_or_is_the_projects_own_counts_once(project_root: Path) -> None:
    assert in_process(project_root, LIST, TOY, TOY, project_root / "use_cases") == [f"{OURS} toy"]


def test_a_folder_that_is_not_there_is_said(project_root: Path, tmp_path: Path) -> None:
    usable, broken = in_process(project_root, LIST, tmp_path / "nowhere")
    assert usable == OURS
    assert broken.startswith(f"broken nowhere MLOPS_USE_CASES names {tmp_path}/nowhere, which is no folder")


def test_a_folder_whose_name_cannot_be_a_use_cases_is_told_which_can(project_root: Path, tmp_path: Path) -> None:
    shutil.copytree(TOY / "toy", tmp_path / "my-case")
    _, broken = in_process(project_root, LIST, tmp_path)
    assert "my-case: a use case's folder cannot be called my-case. Remedy: begin with a small letter" in broken
