"""The processes of a running installation, in either mode: which there are, and signals to them. Nobody else's.

A process is known by when it started as well as by its number, which another one may get.
"""

import datetime as dt
import signal
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mlops_platform.errors import PlatformError

TRAINING_RUN = "training run"
"""What stands in the place of a service for the containers that the launcher starts."""


class ProcessGone(PlatformError):
    """The process ended before it got its signal."""

    transient = True

    def __init__(self, process: "RunningProcess") -> None:
        super().__init__(f"{process} ended by itself", remedy="take another one")


@dataclass(frozen=True)
class RunningProcess:
    """One process of a service. ``leads``: it is the one that is started again when it ends, with all that it started.

    ``started`` is in ticks of the machine's clock or in seconds, to be compared and nothing else. ``container`` is the
    id of its container, by whose numbering the pid is meant; None for a process of this machine. Two are the same
    process whatever it is called and whoever its parent is by now.
    """

    service: str
    pid: int
    started: float
    leads: bool = field(compare=False)
    command: str = field(compare=False)
    container: str | None = None

    def __str__(self) -> str:
        return f"process {self.pid} of {self.service}"


class Processes(Protocol):
    """The processes of one installation."""

    def services(self) -> tuple[str, ...]:
        """The services that are to run for ever, in the order of their names."""

    def of(self, service: str) -> Sequence[RunningProcess]:
        """The processes of a service; none while it is between an end and a start.

        Raises:
            PlatformError: nobody can tell now.
        """

    def send(self, process: RunningProcess, signum: signal.Signals) -> None:
        """Send a signal to this process alone.

        Raises:
            ProcessGone: it has ended; whoever has its number now gets no signal.
            PlatformError: nobody can tell if the signal came there.
        """

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        """Whether one of these has not ended.

        Raises:
            PlatformError: nobody can tell now.
        """

    def is_usable(self, service: str, since: dt.datetime) -> bool:
        """Whether a service does what it is there for, by signs of life after ``since``."""
