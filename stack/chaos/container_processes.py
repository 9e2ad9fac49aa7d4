"""Processes in this project's containers: listed and signalled from inside, which needs no rights on the machine.

Not by ``docker kill``: a container that it ends counts as stopped by a person, and is not started again.
"""

import datetime as dt
import os
import signal
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mlops_platform.errors import PlatformError
from stack.bare.compose import LABEL, RUN_ONCE, TRAINING_LABEL, project_name
from stack.bare.docker import DockerFailed, docker
from stack.chaos.processes import TRAINING_RUN, ProcessGone, RunningProcess

# One line for each process: its /proc/<pid>/stat and, after a tab, its command line.
LIST = r"""
for one in /proc/[0-9]*; do
  stat=$(cat "$one/stat" 2>/dev/null) || continue
  printf '%s\t%s\n' "$stat" "$(tr '\0\n\t' '   ' 2>/dev/null <"$one/cmdline")"
done
"""
# Signals process $1 with $2 if it is the one that started at $3. Status 3: it is gone.
SIGNAL = r"""
stat=$(cat "/proc/$1/stat" 2>/dev/null) || exit 3
set -- "$1" "$2" "$3" ${stat##*) }
[ "$3" = "${23}" ] || exit 3
kill -s "$2" "$1" || exit 3
"""
_GONE = "exit status of the signal: 3"
_SERVICE = "com.docker.compose.service"
_LASTS = "com.docker.compose.oneoff=False"
_INIT = 1
_STATE, _PARENT, _START = 0, 1, 19
"""Places in /proc/<pid>/stat after the name, which may hold blanks and brackets itself."""


def parsed(listing: str, service: str, container: str) -> list[RunningProcess]:
    """What ``LIST`` printed in a container, without what is dead already.

    The first child of the container's init leads: it adopts those that lost their parent.
    """
    found, children = [], []
    for line in listing.splitlines():
        stat, _, command = line.partition("\t")
        head, _, tail = stat.rpartition(")")
        fields = tail.split()
        if len(fields) > _START and fields[_STATE] != "Z":
            pid, started = int(head.split()[0]), float(fields[_START])
            found.append(RunningProcess(service, pid, started, False, command.strip(), container))
            if int(fields[_PARENT]) == _INIT:
                children.append(found[-1])
    first = min(children, key=lambda one: one.started, default=None)
    return [replace(one, leads=one == first) for one in found]


class ContainerProcesses:
    """Of an installation whose services are containers, seen from the machine that they run on."""

    def __init__(self, root: Path) -> None:
        self._project = project_name(root, os.environ)

    def services(self) -> tuple[str, ...]:
        shown = _asked("ps", "--all", *self._label(), "--format", f'{{{{.Label "{_SERVICE}"}}}}')
        return tuple(sorted(set(shown.split()) - RUN_ONCE))

    def of(self, service: str) -> list[RunningProcess]:
        containers = _asked("ps", "--quiet", *self._containers(service)).split()
        return [one for container in containers for one in _inside(container, service)]

    def send(self, process: RunningProcess, signum: signal.Signals) -> None:
        name = signum.name.removeprefix("SIG")
        script = f"({SIGNAL}) || echo 'exit status of the signal:' $?"
        told = (str(process.pid), name, f"{process.started:.0f}")
        try:
            answer = docker("exec", str(process.container), "sh", "-c", script, "-", *told)
        except DockerFailed as failure:
            if self.any_runs([process]):
                raise PlatformError(failure.what, remedy=failure.remedy) from None
            if not (process.leads and signum is signal.SIGKILL):
                raise ProcessGone(process) from None
            # its container ended with it, and this command as well
            return
        if _GONE in answer:
            raise ProcessGone(process)

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        running = {one for service in {one.service for one in processes} for one in self.of(service)}
        return not running.isdisjoint(processes)

    def is_usable(self, service: str, since: dt.datetime) -> bool:
        """By the containers' own health checks, which begin anew with each start; ``since`` is theirs."""
        containers = _asked("ps", "--all", "--quiet", *self._containers(service)).split()
        if not containers:
            return False
        states = _asked("inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", *containers)
        return set(states.splitlines()) == {"running healthy"}

    def _containers(self, service: str) -> tuple[str, ...]:
        """What tells a service's containers from others."""
        if service == TRAINING_RUN:
            return ("--filter", f"label={TRAINING_LABEL}={self._project}")
        return (*self._label(), "--filter", f"label={_SERVICE}={service}")

    def _label(self) -> tuple[str, ...]:
        """What tells the containers that Compose keeps from those that have the labels of a service's image alone, as
        training runs have, and from those of ``docker compose run``."""
        return ("--filter", f"label={LABEL}={self._project}", "--filter", f"label={_LASTS}")


def _inside(container: str, service: str) -> list[RunningProcess]:
    try:
        return parsed(docker("exec", container, "sh", "-c", LIST), service, container)
    except DockerFailed:
        return []  # it has just ended


def _asked(*arguments: str) -> str:
    try:
        return docker(*arguments)
    except DockerFailed as failure:
        raise PlatformError(failure.what, remedy=failure.remedy) from None
