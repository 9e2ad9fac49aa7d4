"""start, restart, stop and reset, up to where the environment's Python or Docker takes over."""

from __future__ import annotations

import argparse
import os
import shutil
from contextlib import suppress
from pathlib import Path

from mlops_platform.console import begin, complain, say, step
from stack.bare import compose, preflight, venv
from stack.bare.arguments import first_data
from stack.bare.installation import ROOT, Refused, is_running, lock, state_dir, variables
from stack.bare.mode import chosen_mode, mode_before, remember


def install(options: argparse.Namespace) -> int:
    """Makes the environment what the lock says, and starts nothing."""
    with lock(state_dir(ROOT, variables(ROOT, os.environ))):
        venv.install(dev=options.dev)
    return 0


def start(options: argparse.Namespace) -> int:
    """Preflight, environment, and then the start itself: in containers, or in the environment's Python."""
    return _start(options, restarts=False)


def restart(options: argparse.Namespace) -> int:
    """The same, and what runs is stopped in between: once all is checked and installed that a start needs."""
    return _start(options, restarts=True)


def _start(options: argparse.Namespace, *, restarts: bool) -> int:
    begin()
    mode, why = chosen_mode(options.mode)
    chosen = f"{'Containers' if mode == 'docker' else 'Local processes'}: {why}"
    if mode == "docker":
        found = compose.obstacles(ROOT, os.environ)
    else:
        found = preflight.obstacles(ROOT, os.environ, restarts=restarts)
    if found or options.check:
        (complain if found else say)(f"{chosen}\n{preflight.report(found)}")
        return 1 if found else 0
    step(chosen)
    with lock(state_dir(ROOT, variables(ROOT, os.environ))) as held:
        remember(mode, options.workers)
        if mode == "docker":
            venv.install_command_line()
            return compose.start(ROOT, options, restarts=restarts)
        venv.install(dev=False)
        stopped = venv.in_environment(held, "stop") if restarts else 0
        return stopped or venv.in_environment(held, "start", *first_data(options.rows, options.data, options.use_cases))


def stop(_options: argparse.Namespace) -> int:
    """Stops everything and keeps the data."""
    in_containers = mode_before() == "docker"
    if not in_containers and not _may_run():
        say("Nothing is running: there is no environment yet.")
        return 0
    with lock(state_dir(ROOT, variables(ROOT, os.environ))) as held:
        if not in_containers:
            return venv.in_environment(held, "stop")
        compose.stop(ROOT)
    return 0


def reset(options: argparse.Namespace) -> int:
    """Stops the platform and removes what it made: its state and secrets, with ``--all`` the environment as well."""
    state = state_dir(ROOT, variables(ROOT, os.environ))
    if ROOT not in state.parents:
        raise Refused(f"the state folder {state} is outside the project", remedy="remove it yourself")
    secrets_and_environment = [ROOT / ".env", *([venv.VENV] if options.all else [])]
    doomed = [path for path in (state, *secrets_and_environment) if path.exists()]
    if not doomed:
        say("Nothing to remove.")
        return 0
    names = ", ".join(str(path.relative_to(ROOT)) for path in doomed)
    used_docker = compose.was_used(ROOT)
    if used_docker:
        names += f", and the containers, volumes and images of {compose.project_name(ROOT, os.environ)}"
    if not options.yes and not _confirmed(f"Remove {names} with all data, models and history in it? [y/N] "):
        say("Nothing was removed.")
        return 1
    with lock(state) as held:
        if used_docker:
            compose.remove(ROOT)
        if _may_run() and venv.in_environment(held, "stop") != 0:
            return 1
        for path in doomed:
            if path != state:
                _remove(path)
        _remove_state(state)
    say(f"Removed {names}.")
    return 0


def _may_run() -> bool:
    """Whether local processes of this installation may be there: an environment half made never started any."""
    return venv.holds_everything() or is_running(state_dir(ROOT, variables(ROOT, os.environ)))


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove_state(state: Path) -> None:
    """The lock goes last: until then nobody starts, and who starts afterwards finds nothing."""
    kept = state / "run" / "lock"
    for path in (*state.iterdir(), *kept.parent.iterdir()):
        if path not in (kept.parent, kept):
            _remove(path)
    kept.unlink()
    with suppress(OSError):  # somebody has started anew meanwhile
        kept.parent.rmdir()
        state.rmdir()


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False
