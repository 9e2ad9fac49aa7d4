"""A whole platform in either mode: one process after another is killed, stopped, or kept from disk and network.

CHAOS_MINUTES says for how long in each mode (10), CHAOS_SEED what is drawn (something new each time; it is printed).
"""

import itertools
import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.output import table
from mlops_platform.settings import PlatformSettings
from stack.chaos.acts import ACTS, Act
from stack.chaos.container_processes import ContainerProcesses
from stack.chaos.local_processes import LocalProcesses
from stack.chaos.plan import planned_rounds
from stack.chaos.processes import Processes
from stack.chaos.report import COLUMNS, failures, longest_seconds, row
from stack.chaos.rounds import Chaos
from stack.chaos.targets import targets
from tests.chaos.acts import CUT_NETWORK, FULL_DISK, cut_network, full_disk
from tests.docker import conftest as containers
from tests.e2e import conftest as local

MINUTES = float(os.environ.get("CHAOS_MINUTES") or 10)
SEED = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
LONGEST_ROUND = 3600
"""Seconds: a run with all its attempts, and every deadline after it."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(MINUTES * 60 + 2 * LONGEST_ROUND)]


def test_local_processes(tmp_path: Path, project_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    acts = {**ACTS, FULL_DISK: full_disk} if sys.platform == "linux" else ACTS
    with local.started_platform(tmp_path, project_root) as platform:
        keep_promises(platform.settings, LocalProcesses(platform.settings), acts, capfd)


def test_containers(
    pytestconfig: pytest.Config, tmp_path: Path, project_root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    containers.require_engine(pytestconfig)
    acts = {**ACTS, FULL_DISK: full_disk, CUT_NETWORK: cut_network}
    with containers.started_platform(tmp_path, project_root) as platform:
        root = platform.root
        here = {"mode": "docker", "project_root": root, "state_dir": root / "var"}
        keep_promises(platform.settings.model_copy(update=here), ContainerProcesses(root), acts, capfd)


def keep_promises(
    settings: PlatformSettings, processes: Processes, acts: Mapping[str, Act], shown: pytest.CaptureFixture[str]
) -> None:
    """Rounds until the time is over; shows seed and table also where all held."""
    kinds = targets(processes.services(), containers=settings.mode == "docker")
    chaos = Chaos(settings, "credit_risk", processes, acts)
    end = time.monotonic() + 60 * MINUTES
    planned = itertools.takewhile(lambda _: time.monotonic() < end, planned_rounds(SEED, kinds, list(acts)))
    outcomes = []
    try:
        for outcome in chaos.outcomes(planned):
            outcomes.append(outcome)
    finally:
        with shown.disabled():
            rows = table([row(one) for one in outcomes], COLUMNS)
            print(f"\nseed {SEED}\n{rows}\nlongest until healthy: {longest_seconds(outcomes)}")  # noqa: T201
    assert outcomes
    assert failures(outcomes, f"CHAOS_SEED={SEED} ./test.sh --chaos", settings) == ""
