"""Fixtures that every part of the suite may use."""

import os
from pathlib import Path

import pytest

from mlops_platform.services.java import java_home
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import UseCase

PROJECT_ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--skip-without-engine", action="store_true", help="skip the tests of containers where no Docker engine answers"
    )


def pytest_configure() -> None:
    """Spark's tests find Java where the platform finds it: a machine without one has what was brought."""
    home = java_home(load_settings().state_dir, os.environ)
    if home is not None:
        os.environ["JAVA_HOME"] = str(home)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout under test."""
    return PROJECT_ROOT


@pytest.fixture(scope="session")
def credit_risk() -> UseCase:
    return get_use_case("credit_risk")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the checkout, where there is one."""
    folder = PROJECT_ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data is not beside this checkout")
    return folder
