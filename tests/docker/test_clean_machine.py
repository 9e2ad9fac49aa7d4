"""The local mode on a machine that has nothing but bash and Python: the README's two commands, as an ordinary user."""

from pathlib import Path

import pytest

from tests.docker.conftest import docker
from tests.e2e.conftest import copy_of_checkout

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

IMAGE = "python:3.11-slim-bookworm"
NAME = "mlops-clean-machine"
# What was downloaded by an earlier run of this test; without it a run only takes longer.
CACHE = "mlops-clean-machine-cache"
PREPARE = """
set -eu
useradd --create-home tester
mkdir -p /home/tester/.cache
cp -r /checkout /home/tester/checkout
chown -R tester: /home/tester
! command -v java
! command -v uv
! command -v git
printf '%s' "$1" >/home/tester/commands
exec su tester -c 'cd ~/checkout && exec bash ~/commands'
"""


def on_a_clean_machine(checkout: Path, command: str) -> str:
    return docker(
        *("run", "--rm", "--init", "--name", NAME, "--volume", f"{checkout}:/checkout:ro"),
        *("--volume", f"{CACHE}:/home/tester/.cache", IMAGE, "bash", "-c", PREPARE, "-", command),
        deadline=3000,
    )


def test_the_readmes_two_commands_are_enough(engine: None, project_root: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    copy_of_checkout(project_root, checkout)
    output = on_a_clean_machine(
        checkout, "./start.sh --mode local --rows 20000 && ./stop.sh && ./test.sh --fast && echo ALL WELL"
    )
    assert "curl -s http://127.0.0.1:8000/predict/" in output
    assert '"prediction":' in output.replace('": ', '":')
    assert output.rstrip().endswith("ALL WELL")
