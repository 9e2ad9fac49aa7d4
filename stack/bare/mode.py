"""Containers or local processes: what was asked for, else as before, else what there is; and why it is that."""

from __future__ import annotations

import os

from stack.bare import compose
from stack.bare.docker import DockerFailed, EngineAway, NotInstalled, compose_version, engine_version
from stack.bare.env_file import set_value
from stack.bare.installation import ROOT, Refused, is_running, state_dir, variables


def mode_before() -> str | None:
    """The mode in which this installation was started last; None before its first start."""
    before = variables(ROOT, os.environ).get("MLOPS_MODE")
    return before if before in ("docker", "local") else None


def chosen_mode(asked: str) -> tuple[str, str]:
    """docker or local, for what ``--mode`` asks for; and why.

    Raises:
        Refused: this installation runs in the other mode, or nobody can tell.
    """
    before, runs_locally = mode_before(), is_running(state_dir(ROOT, variables(ROOT, os.environ)))
    if asked == "auto":
        if before or runs_locally:
            return before or "local", "as it was started before; --mode chooses the other one"
        obstacle = _why_no_containers()
        return ("local", obstacle) if obstacle else ("docker", "a Docker engine with Compose answers")
    runs = "local" if runs_locally else "docker" if before == "docker" and _containers_run() else asked
    if runs != asked:
        raise Refused(f"the platform runs in the mode {runs}", remedy="./stop.sh first; each mode has data of its own")
    return asked, f"--mode {asked} was given"


def _why_no_containers() -> str | None:
    """None where containers can be used."""
    try:
        engine_version()
        return None if compose_version() else "Docker has no Compose plugin"
    except NotInstalled:
        return "there is no Docker on this machine"
    except DockerFailed as error:
        return f"containers cannot be used: {error}"


def _containers_run() -> bool:
    """Whether containers of this installation run; without an engine none do."""
    try:
        return compose.is_up(ROOT)
    except (NotInstalled, EngineAway):
        return False


def remember(mode: str, workers: int | None) -> None:
    """What was asked for holds for this start, whatever the environment says, and for those to come."""
    set_value(ROOT / ".env", "MLOPS_MODE", mode)
    if workers is not None:
        os.environ["MLOPS_SPARK_WORKERS"] = str(workers)
        set_value(ROOT / ".env", "MLOPS_SPARK_WORKERS", str(workers))
