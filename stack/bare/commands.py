"""start, restart, stop and reset, up to where the environment's Python or Docker takes over."""

from __future__ import annotations

import argparse
import os
import shutil

from mlops_platform.console import complain, say
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
    mode = chosen_mode(options.mode)
    if mode == "docker":
        found = compose.obstacles(ROOT, os.environ)
    else:
        found = preflight.obstacles(ROOT, os.environ, restarts=restarts)
    if found or options.check:
        (complain if found else say)(preflight.report(found))
        return 1 if found else 0
    with lock(state_dir(ROOT, variables(ROOT, os.environ))):
        remember(mode, options.workers)
        if mode == "docker":
            venv.install_command_line()
            return compose.start(ROOT, options, restarts=restarts)
        venv.install(dev=False)
    stopped = venv.in_environment("stop") if restarts else 0
    return stopped or venv.in_environment("start", *first_data(options.rows, options.data))


def stop(_options: argparse.Namespace) -> int:
    """Stops everything and keeps the data."""
    if mode_before() == "docker":
        with lock(state_dir(ROOT, variables(ROOT, os.environ))):
            compose.stop(ROOT)
        return 0
    if not _may_run():
        say("Nothing is running: there is no environment yet.")
        return 0
    return venv.in_environment("stop")


def reset(options: argparse.Namespace) -> int:
    """Stops the platform and removes what it made: its state and secrets, with ``--all`` the environment as well."""
    state = state_dir(ROOT, variables(ROOT, os.environ))
    if ROOT not in state.parents:
        raise Refused(f"the state folder {state} is outside the project", remedy="remove it yourself")
    doomed = [path for path in (state, ROOT / ".env", *([venv.VENV] if options.all else [])) if path.exists()]
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
    if used_docker:
        compose.remove(ROOT)
    if _may_run() and venv.in_environment("stop") != 0:
        return 1
    for path in doomed:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    say(f"Removed {names}.")
    return 0


def _may_run() -> bool:
    """Whether local processes of this installation may be there: an environment half made never started any."""
    return venv.holds_everything() or is_running(state_dir(ROOT, variables(ROOT, os.environ)))


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False
