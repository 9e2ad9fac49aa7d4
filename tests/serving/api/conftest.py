"""One running service for all tests that only ask it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Trained
from tests.serving.processes import service_of

BATCH_LIMIT = 3


@pytest.fixture(scope="session")
def asked(credit_risk: UseCase, forest: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with a snapshot and a champion, on loopback: only administration asks for a key."""
    state_dir = tmp_path_factory.mktemp("asked") / "state"
    changes: dict[str, Any] = {"serving_admin_token": "an admin token", "serving_batch_limit": BATCH_LIMIT}
    with (
        service_of(state_dir, credit_risk, forest.folder, **changes) as settings,
        httpx.Client(base_url=settings.serving_url, trust_env=False, timeout=30) as client,
    ):
        yield client
