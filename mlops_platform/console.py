"""What the user of the shell scripts reads, line by line and at once, also where the output is a pipe.

On a terminal the last line tells what is waited for, and since when. Standard library only, in syntax that Python 3.8
reads.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import Callable, Iterator  # noqa: UP035 - Python 3.8

BEGAN_VARIABLE = "MLOPS_BEGAN"
"""When the command began, in seconds since 1970, for the processes that it hands over to."""
_TURNS_PER_SECOND = 8
_ERASE = "\r\x1b[K"

_terminal = threading.RLock()


def say(line: str) -> None:
    """One line of progress or result."""
    with _terminal:
        sys.stdout.write(f"{_ERASE if _is_terminal() else ''}{line}\n")
        sys.stdout.flush()


def complain(line: str) -> None:
    """One line about what went wrong."""
    with _terminal:
        sys.stdout.write(_ERASE if _is_terminal() else "")
        sys.stdout.flush()
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def step(line: str) -> None:
    """One line of progress, and how long after the command's begin it was."""
    say(f"[{elapsed()}] {line}")


def begin() -> None:
    """Now the command begins; what it hands over to, goes on counting."""
    os.environ[BEGAN_VARIABLE] = str(time.time())


def elapsed() -> str:
    """Minutes and seconds since the command began.

    >>> begin()
    >>> elapsed()
    '0:00'
    """
    began = float(os.environ.setdefault(BEGAN_VARIABLE, str(time.time())))
    minutes, seconds = divmod(max(0, int(time.time() - began)), 60)
    return f"{minutes}:{seconds:02}"


@contextmanager
def waiting(what: str | Callable[[], str]) -> Iterator[None]:
    """While this lasts a terminal's last line turns, and says what is waited for and how long the command has taken.

    Elsewhere nothing is written.

    Args:
        what: a text, or what gives one that changes.
    """
    if not _is_terminal():
        yield
        return
    over = threading.Event()
    drawing = threading.Thread(target=_turn, args=(what, over), daemon=True)
    drawing.start()
    try:
        yield
    finally:
        over.set()
        drawing.join()


def _turn(what: str | Callable[[], str], over: threading.Event) -> None:
    for sign in itertools.cycle("|/-\\"):
        with _terminal:
            width = os.get_terminal_size(sys.stdout.fileno()).columns or 80  # some do not know
            text = what if isinstance(what, str) else what()
            sys.stdout.write(_ERASE + f"{sign} {elapsed()} {text}"[: width - 1])
            sys.stdout.flush()
        if over.wait(1 / _TURNS_PER_SECOND):
            break
    with _terminal:
        sys.stdout.write(_ERASE)
        sys.stdout.flush()


def _is_terminal() -> bool:
    return sys.stdout.isatty()
