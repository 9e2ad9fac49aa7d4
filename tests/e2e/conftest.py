"""A whole platform, started by the README's command in a copy of the checkout, with a use case of another folder."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.settings import PlatformSettings, load_settings
from tests.commands import output_of
from tests.processes import free_ports, wait_until

OTHER_USE_CASES = "tests/use_cases"
PORTS = (
    "AIRFLOW", "SERVING", "JUPYTER", "MLFLOW", "SPARK_MASTER", "SPARK_MASTER_UI", "SPARK_WORKER_UI", "METASTORE",
    "HIVESERVER2",
)  # fmt: skip
ROWS = 20_000
START_DEADLINE = 900
TAKEN_UP_WITHIN = 60


def copy_of_checkout(source: Path, target: Path) -> None:
    """What a clone would hold: every file that git tracks or would track, as it is now."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, listing.decode().split("\0")):
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def with_env_file(root: Path) -> Path:
    """Gives a copy of the checkout ports that nobody has, and the tests' use cases. Returns its ``.env``."""
    lines = [f"MLOPS_{name}_PORT={port}\n" for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)]
    lines.append(f"MLOPS_USE_CASES={OTHER_USE_CASES}\n")
    env_file = root / ".env"
    env_file.touch(mode=0o600)
    env_file.write_text("".join(lines), encoding="utf-8")
    return env_file


def run_in(root: Path, command: Sequence[str], deadline: int, expect: int | None) -> str:
    """Run a command in a copy of the checkout, with nothing of this one's settings; stdout and stderr in order."""
    foreign = ("MLOPS_", "COMPOSE_", "VIRTUAL_ENV", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return output_of(command, deadline=deadline, expect=expect, folder=root, environment=environment)


@dataclass(frozen=True)
class RunningPlatform:
    """A started platform and what its start printed."""

    root: Path
    settings: PlatformSettings
    start_output: str

    def command(self, *arguments: str, deadline: int = START_DEADLINE, expect: int | None = 0) -> str:
        """Run a command of the copy; its output, stdout and stderr in order."""
        return run_in(self.root, arguments, deadline, expect)

    def mlops(self, *arguments: str, expect: int | None = 0) -> str:
        return self.command(str(self.root / "mlops"), *arguments, expect=expect)

    def in_environment(self, *arguments: str) -> str:
        """Run a program with the platform's environment, as a job or a notebook has it."""
        return self.command("bash", "-c", '. mlops_platform/services/environment.sh && exec "$@"', "_", *arguments)

    def python(self, program: str, *arguments: str) -> str:
        return self.in_environment("python", "-c", program, *arguments)

    def get(self, path: str) -> Any:
        answer = httpx.get(self.settings.serving_url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def eventually(self, path: str) -> Any:
        """The answer, as soon as the service has taken up what was just published."""
        url = self.settings.serving_url + path
        wait_until(lambda: httpx.get(url, timeout=60).status_code == 200, f"{path} is answered", TAKEN_UP_WITHIN)
        return self.get(path)

    def published(self, use_case: str) -> dict[str, Any]:
        """The manifest of the published snapshot."""
        path = self.settings.lake_root / "features" / use_case / "current.json"
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return content


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Iterator[RunningPlatform]:
    with started_platform(tmp_path_factory.mktemp("platform"), project_root) as platform:
        yield platform


@contextlib.contextmanager
def started_platform(folder: Path, project_root: Path) -> Iterator[RunningPlatform]:
    """Below this folder, stopped in the end; what it logged last is printed."""
    root = folder / "checkout"
    copy_of_checkout(project_root, root)
    env_file = with_env_file(root)
    before = RunningPlatform(root, load_settings(env_file), "")
    try:
        output = before.command("./start.sh", "--mode", "local", "--rows", str(ROWS))
        settings = load_settings(env_file).model_copy(update={"state_dir": root / "var", "project_root": root})
        yield RunningPlatform(root, settings, output)
    finally:
        log = before.command("./stop.sh", expect=None)
        print(log)  # noqa: T201 - shown by pytest where a test failed
        for path in sorted((root / "var" / "log").glob("*.log")):
            print(f"--- {path.name}\n" + path.read_text(errors="replace")[-3000:])  # noqa: T201
