"""A copy of the checkout before there is an environment."""

import shutil
from pathlib import Path

import pytest

from tests.stack.scripts import SCRIPTS


@pytest.fixture
def checkout(tmp_path: Path, project_root: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    for name in (*SCRIPTS, "requirements.txt", "pyproject.toml"):
        shutil.copy2(project_root / name, root / name)
    for package in ("mlops_platform", "stack"):
        shutil.copytree(project_root / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    return root
