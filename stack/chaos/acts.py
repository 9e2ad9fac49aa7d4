"""What is done to a process. An act that ends by itself leaves the process as it found it, or gone."""

import signal
from collections.abc import Callable, Mapping
from time import sleep

from stack.chaos.plan import KILL
from stack.chaos.processes import Processes, ProcessGone, RunningProcess

PAUSE = "SIGSTOP, SIGCONT"

Act = Callable[[Processes, RunningProcess, float], None]
"""Done to this process, for so many seconds where it ends by itself.

Raises:
    ProcessGone: it ended before anything was done.
"""


def kill(processes: Processes, victim: RunningProcess, _seconds: float) -> None:
    """End it without a word."""
    processes.send(victim, signal.SIGKILL)


def pause(processes: Processes, victim: RunningProcess, seconds: float) -> None:
    """Stop it, and let it go on."""
    processes.send(victim, signal.SIGSTOP)
    try:
        sleep(seconds)
    finally:
        go_on(processes, victim)


def go_on(processes: Processes, victim: RunningProcess) -> None:
    """Let it go on, unless it was killed meanwhile, as the watcher does with what is stuck."""
    try:
        processes.send(victim, signal.SIGCONT)
    except ProcessGone:
        return


ACTS: Mapping[str, Act] = {KILL: kill, PAUSE: pause}
"""What users may have done to their platform."""
