"""The tests of containers on a machine whose Docker engine does not answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = "tests/docker/test_clean_machine.py"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which ``docker`` reaches no engine."""
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n", encoding="utf-8")
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return {**kept, "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ((), 1, "the containers cannot be tested: Docker: no engine answers"),
        (("--skip-without-engine",), 0, "the containers are not tested: Docker: no engine answers"),
    ],
)
def test_they_fail_unless_they_are_told_to_do_without(
    project_root: Path, environment: dict[str, str], options: tuple[str, ...], code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "docker", *options, TESTS],
        cwd=project_root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout
