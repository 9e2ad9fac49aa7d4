"""``.venv`` as ``./start.sh`` and ``./test.sh`` make it, by the real uv, from wheels of a folder."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from stack.bare import uv, venv
from tests.stack.scripts import run
from tests.stack.wheels import write_wheel

# A build backend that needs nothing but what the test has it require.
PYPROJECT = """
[build-system]
requires = ["backing"]
build-backend = "backend"
backend-path = ["."]

[project]
name = "small"
version = "1"
"""
BACKEND = """
import zipfile

def build_editable(folder, settings=None, metadata=None):
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\n")
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return name
"""


@dataclass
class Installation:
    """A checkout with a small lock, and a folder of wheels as its package index."""

    root: Path
    wheels: Path
    programs: Path
    cache: Path

    def lock(self, file: str, *pins: tuple[str, str, str]) -> None:
        """Writes a lock of names, versions and hashes."""
        lines = [f"{name}=={version} \\\n    --hash=sha256:{digest}\n" for name, version, digest in pins]
        (self.root / file).write_text("".join(lines), encoding="utf-8")

    def offer(self, name: str, version: str, *, says: str = "") -> tuple[str, str, str]:
        """Adds a wheel to the index; its line of a lock."""
        return name, version, write_wheel(self.wheels, name, version, says=says)

    def install(self, *, program: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs what ``./test.sh`` runs first, and a start after its preflight; ``program`` stands for uv."""
        target = self.programs / "uv"
        target.unlink(missing_ok=True)
        target.symlink_to(program or uv.found_or_fetched(venv.VENV / "uv"))
        return run(
            self.root,
            *(sys.executable, "-m", "stack.bare", "install"),
            PATH=f"{self.programs}:{os.environ['PATH']}",
            JAVA_HOME=str(self.programs / "java"),
            UV_CACHE_DIR=str(self.cache),
            UV_FIND_LINKS=str(self.wheels),
            UV_NO_INDEX="1",
            UV_OFFLINE="1",
        )

    def says(self, program: str = "one") -> str:
        """What an installed program prints."""
        return subprocess.check_output([self.root / ".venv" / "bin" / program], text=True).strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """uv's, in which it remembers the interpreter."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def installation(checkout: Path, tmp_path: Path, cache: Path) -> Installation:
    """One that was never installed."""
    (checkout / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (checkout / "backend.py").write_text(BACKEND, encoding="utf-8")
    programs, wheels = tmp_path / "programs", tmp_path / "wheels"
    java = programs / "java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'version \"17.0.1\"' >&2\n")
    java.chmod(0o755)
    wheels.mkdir()
    made = Installation(checkout, wheels, programs, cache)
    made.lock("stack/bare/requirements/build.txt", made.offer("backing", "1.0"))
    made.lock("requirements.txt", made.offer("one", "1.0"))
    return made


def test_what_is_locked_is_installed_and_nothing_a_second_time(installation: Installation) -> None:
    first = installation.install()
    assert (first.returncode, first.stdout) == (
        0,
        "Making the environment in .venv\nInstalling requirements.txt\nInstalling the project\n",
    ), first.stderr
    assert installation.says() == "1.0"
    assert installation.install().stdout == ""
    installation.lock("requirements.txt", installation.offer("one", "2.0"))
    assert installation.install().stdout == "Installing requirements.txt\n"
    assert installation.says() == "2.0"


@pytest.mark.parametrize(
    ("package", "file"), [("one", "requirements.txt"), ("backing", "stack/bare/requirements/build.txt")]
)
def test_a_file_that_is_not_the_locked_one_is_refused_by_name(
    installation: Installation, package: str, file: str
) -> None:
    _, _, changed = installation.offer(package, "1.0", says="something else")
    done = installation.install()
    assert done.returncode == 1
    assert f"Hash mismatch for `{package}==1.0`" in done.stderr
    assert changed in done.stderr
    assert "a file whose hash is not in the lock is not installed" in done.stderr
    installation.lock(file, (package, "1.0", changed))
    assert installation.install().returncode == 0


def test_a_package_without_a_hash_is_refused_by_name(installation: Installation) -> None:
    (installation.root / "requirements.txt").write_text("one==1.0\n", encoding="utf-8")
    done = installation.install()
    assert done.returncode == 1
    assert "all requirements must have a hash, but none were provided for: one==1.0" in done.stderr
