"""A prepared installation's prediction log."""

import pytest

from mlops_platform.settings import PlatformSettings
from tests.serving.log.installed import InstalledLog


@pytest.fixture
def publication() -> None:
    """The service's own."""


@pytest.fixture
def log(installation: PlatformSettings) -> InstalledLog:
    return InstalledLog(installation)
