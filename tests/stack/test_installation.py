"""``.venv`` as ``./start.sh`` and ``./test.sh`` make it, by the real uv, from wheels of a folder."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
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
# uv, but its installation of the lock is killed in its midst, with what started it.
KILLED = """#!/bin/sh
case "$*" in
  *requirements.txt*)
    for site in "$PWD"/.venv/lib/python3.*/site-packages; do
      mkdir "$site/one-1.0.dist-info"
      printf 'Metadata-Version: 2.1\\nName: one\\nVersion: 1.0\\n' >"$site/one-1.0.dist-info/METADATA"
    done
    kill -9 $PPID
    exit 1 ;;
esac
exec "{uv}" "$@"
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
        target.symlink_to(program or uv.found_or_fetched(venv.UV))
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


def unfolded(message: str) -> str:
    """What uv said, which it folds to the width of a terminal."""
    return " ".join(message.split())


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
    said = unfolded(done.stderr)
    assert f"Hash mismatch for `{package}==1.0`" in said
    assert changed in said
    assert "a file whose hash is not in the lock is not installed" in said
    installation.lock(file, (package, "1.0", changed))
    assert installation.install().returncode == 0


def test_a_package_without_a_hash_is_refused_by_name(installation: Installation) -> None:
    (installation.root / "requirements.txt").write_text("one==1.0\n", encoding="utf-8")
    done = installation.install()
    assert done.returncode == 1
    assert "all requirements must have a hash, but none were provided for: one==1.0" in unfolded(done.stderr)


def test_an_environment_made_anew_by_others_is_filled_anew(installation: Installation) -> None:
    installation.install()
    environment = installation.root / ".venv"
    note = (environment / "installed.json").read_text()
    shutil.rmtree(environment / "lib")
    (environment / "bin" / "python").unlink()  # as a Python that was updated takes it away
    assert installation.install().returncode == 0
    assert installation.says() == "1.0"
    assert (environment / "installed.json").read_text() == note


def test_a_checkout_that_moved_gets_programs_that_run(installation: Installation, tmp_path: Path) -> None:
    installation.install()
    installation.root = installation.root.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        installation.says()
    done = installation.install()
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Making the environment in .venv"), done.stderr
    assert installation.says() == "1.0"
    assert installation.install().stdout == ""


def test_an_installation_that_was_killed_in_its_midst_ends_well_the_next_time(installation: Installation) -> None:
    killing = installation.programs / "killing-uv"
    killing.write_text(KILLED.format(uv=uv.found_or_fetched(venv.UV)), encoding="utf-8")
    killing.chmod(0o755)
    assert installation.install(program=killing).returncode == -signal.SIGKILL
    stopped = run(installation.root, "./stop.sh")
    assert (stopped.returncode, stopped.stdout) == (0, "Nothing is running: there is no environment yet.\n")
    done = installation.install()
    assert done.returncode == 0, done.stderr
    assert installation.says() == "1.0"


def test_going_back_from_a_lock_that_was_not_installed_to_its_end_installs_again(installation: Installation) -> None:
    installation.install()
    before = (installation.root / "requirements.txt").read_text(encoding="utf-8")
    installation.lock("requirements.txt", installation.offer("one", "2.0"), ("two", "1.0", "0" * 64))
    assert installation.install().returncode == 1
    (installation.root / "requirements.txt").write_text(before, encoding="utf-8")
    assert "Installing requirements.txt\n" in installation.install().stdout
    assert installation.says() == "1.0"


def test_the_environment_of_a_running_platform_is_not_taken_away(installation: Installation) -> None:
    installation.install()
    note = installation.root / ".venv" / "installed.json"
    content = json.loads(note.read_text(encoding="utf-8"))
    note.write_text(json.dumps({**content, "environment": "of another place"}), encoding="utf-8")
    with tempfile.TemporaryDirectory() as state, socket.socket(socket.AF_UNIX) as supervisor:
        (Path(state) / "run").mkdir()
        supervisor.bind(f"{state}/run/supervisor.sock")
        supervisor.listen()
        (installation.root / ".env").write_text(f"MLOPS_STATE_DIR={state}\n", encoding="utf-8")
        done = installation.install()
    assert (done.returncode, done.stderr) == (
        1,
        "error: the environment in .venv has to be made anew, and the platform runs in it. Remedy: ./stop.sh first\n",
    )
    assert installation.says() == "1.0"
