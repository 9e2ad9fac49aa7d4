"""A whole platform in containers: started by the README's command in a copy of the checkout, a project of its own."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.settings import PlatformSettings, load_settings
from stack.bare.compose import project_name
from stack.bare.docker import DockerFailed, compose_version, engine_version
from tests.commands import output_of
from tests.e2e.conftest import copy_of_checkout, run_in, with_env_file

ROWS = 20_000
WORKERS = 2
# Whoever runs the tests as root has the services run as somebody.
USER = 1000


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> None:
    require_engine(pytestconfig)


def require_engine(config: pytest.Config) -> None:
    """A Docker engine with Compose v2. Where there is none the tests fail, unless they were told to do without."""
    try:
        engine_version()
        lacking = None if compose_version() else "Docker's Compose plugin is missing"
    except DockerFailed as failure:
        lacking = str(failure)
    if lacking is None:
        return
    if config.getoption("--skip-without-engine"):
        pytest.skip(f"the containers are not tested: {lacking}")
    pytest.fail(f"the containers cannot be tested: {lacking}; or give --skip-without-engine", pytrace=False)


def commit_all(root: Path) -> None:
    """Make a copy the clone that it would be."""
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message", "all")):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        output_of(["git", *identity, *arguments], deadline=60, folder=root)


def own_by_user(folder: Path) -> None:
    """Give a copy to the services' user, as if it were that user's clone."""
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, USER, USER, follow_symlinks=False)


def docker(*arguments: str, expect: int | None = 0, deadline: float = 600) -> str:
    """A docker command's output, stdout and stderr in order."""
    return output_of(["docker", *arguments], deadline=deadline, expect=expect)


def take_given_images(project: str, env_file: Path) -> None:
    """Where a folder holds images by digest, a file for each target, those are what is tested, and none is built."""
    given = os.environ.get("TESTED_IMAGES")
    if given is None:
        return
    for file in sorted(Path(given).iterdir()):
        image = file.read_text(encoding="utf-8").strip()
        docker("pull", "--quiet", image)
        docker("tag", image, f"{project}-{file.name}")
    with env_file.open("a", encoding="utf-8") as lines:
        lines.write("MLOPS_BUILD_IMAGES=false\n")


@dataclass(frozen=True)
class ComposePlatform:
    """A started platform and what its start printed."""

    root: Path
    project: str
    settings: PlatformSettings
    started_at: datetime
    start_output: str = ""

    def command(self, *arguments: str, deadline: int = 1800, expect: int | None = 0) -> str:
        """Run a command of the copy; its output, stdout and stderr in order."""
        return run_in(self.root, arguments, deadline, expect)

    def compose(self, *arguments: str, expect: int | None = 0) -> str:
        return self.command("docker", "compose", *arguments, expect=expect)

    def mlops(self, *arguments: str) -> str:
        return self.command(str(self.root / "mlops"), *arguments)

    def inside(self, service: str, program: str, *, launched: bool = False, expect: int | None = 0) -> str:
        """Run a shell program in a service's container, with ``launched`` in the environment of its launch command."""
        prelude = ". mlops_platform/services/environment.sh; " if launched else ""
        return self.compose("exec", "-T", service, "bash", "-c", prelude + program, expect=expect)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def health(self) -> dict[str, str]:
        """Each running service's health."""
        lines = self.compose("ps", "--format", "{{.Name}} {{.Health}}").splitlines()
        return {name: health for name, _, health in (line.partition(" ") for line in lines)}

    def get(self, path: str) -> Any:
        answer = httpx.get(self.settings.serving_url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def read_lake(self, path: str) -> str:
        return self.inside("airflow-scheduler", f"cat /var/lib/mlops/lake/{path}")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, project_root: Path, engine: None) -> Iterator[ComposePlatform]:
    with started_platform(tmp_path_factory.mktemp("compose"), project_root) as platform:
        yield platform


@contextlib.contextmanager
def started_platform(folder: Path, project_root: Path) -> Iterator[ComposePlatform]:
    """Below this folder, removed in the end with all that is the project's; what it logged last is printed."""
    folder.parent.chmod(0o755)  # as root pytest makes it private, and the services are somebody else
    folder.chmod(0o755)
    root = folder / "checkout"
    copy_of_checkout(project_root, root)
    commit_all(root)
    own_by_user(root)
    env_file = with_env_file(root)
    project = project_name(root, {})
    take_given_images(project, env_file)
    platform = ComposePlatform(root, project, load_settings(env_file), datetime.now(UTC))
    try:
        output = platform.command("./start.sh", "--mode", "docker", "--rows", str(ROWS), "--workers", str(WORKERS))
        yield ComposePlatform(root, project, load_settings(env_file), platform.started_at, output)
    finally:
        print(platform.compose("ps", "--all", expect=None))  # noqa: T201 - shown by pytest where a test failed
        print(platform.compose("logs", "--no-color", "--tail", "60", expect=None))  # noqa: T201
        platform.command("./reset.sh", "--yes", "--all", expect=None)
        shutil.rmtree(folder, ignore_errors=True)
