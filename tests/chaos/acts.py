"""What is done to a platform in tests alone: a disk that takes nothing more, and a container that reaches nobody."""

import contextlib
import json
from time import sleep

import psutil

from stack.bare.docker import DockerFailed, docker
from stack.chaos.processes import Processes, ProcessGone, RunningProcess

FULL_DISK, CUT_NETWORK = "full disk", "cut network"


def full_disk(processes: Processes, victim: RunningProcess, seconds: float) -> None:
    """No file that the process and, where it leads a service, all of the service write can grow for so long.

    By a limit, for which nobody need be root: a write fails as on a full disk, with another number (EFBIG). What is
    started meanwhile inherits the limit, and loses it with the others.
    """
    try:
        _limit_files(victim, to_nothing=True)
        _limit_others(processes, victim, to_nothing=True)
        if not processes.any_runs([victim]):
            raise ProcessGone(victim)
        sleep(seconds)
    except (DockerFailed, psutil.NoSuchProcess):
        if processes.any_runs([victim]):
            raise
        raise ProcessGone(victim) from None
    finally:
        _limit_others(processes, victim, to_nothing=False)


def _limit_others(processes: Processes, victim: RunningProcess, *, to_nothing: bool) -> None:
    """The victim's own and, where it leads a service, all of it; without those that end meanwhile."""
    for process in processes.of(victim.service):
        if victim.leads or process == victim:
            with contextlib.suppress(DockerFailed, psutil.NoSuchProcess):
                _limit_files(process, to_nothing=to_nothing)


def _limit_files(process: RunningProcess, *, to_nothing: bool) -> None:
    if process.container is not None:
        soft = "0" if to_nothing else "unlimited"
        docker("exec", process.container, "prlimit", f"--fsize={soft}:", f"--pid={process.pid}")
        return
    found = psutil.Process(process.pid)
    _, hard = found.rlimit(psutil.RLIMIT_FSIZE)
    found.rlimit(psutil.RLIMIT_FSIZE, (0 if to_nothing else hard, hard))


def cut_network(processes: Processes, victim: RunningProcess, seconds: float) -> None:
    """The victim's container is taken out of all its networks for so long, and gets its names in them back."""
    container = str(victim.container)
    if not processes.any_runs([victim]):
        raise ProcessGone(victim)
    networks = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container))
    try:
        for network in networks:
            docker("network", "disconnect", network, container)
        sleep(seconds)
    finally:
        for network, place in networks.items():
            names = [part for alias in place["Aliases"] or () for part in ("--alias", alias)]
            with contextlib.suppress(DockerFailed):  # it is gone, or was not taken out of this one
                docker("network", "connect", *names, network, container)
