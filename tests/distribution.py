"""How pytest-xdist shares the tests out among processes: by file, and what starts one server by that server."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

SERVERS: dict[str, tuple[str, ...]] = {
    "spark": (
        "tests/spark_jobs/",
        "use_cases/credit_risk/tests/test_features.py",
        "tests/serving/log/test_publish.py::test_hive_goes_on",
    ),
    "mlflow": (
        "tests/mlops_platform/models/test_registry.py",
        "tests/serving/test_new_models.py",
        "tests/training/test_container.py",
        "tests/training/test_promotion.py",
    ),
}
"""What the ids of the tests begin with that share a server which takes seconds to start; what takes longest is first.

A test that is missing here passes too: its process starts a server of its own.
"""


def scope_of(nodeid: str) -> str:
    """What is one process's: the tests of a server, or those of a file, which share what its fixtures make."""
    return next((name for name, ids in SERVERS.items() if nodeid.startswith(ids)), nodeid.partition("::")[0])


class ByServerOrFile(LoadScopeScheduling):  # type: ignore[misc] # xdist brings no types
    """Gives each process the next scope as soon as it is done with the last."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The servers' tests first, so that no process has them alone at the end."""
    first = list(SERVERS)
    items.sort(key=lambda item: first.index(scope) if (scope := scope_of(item.nodeid)) in SERVERS else len(first))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServerOrFile:
    config.option.loadscopereorder = False  # the scopes keep the order of the tests
    return ByServerOrFile(config, log)
