"""Waiting for what comes by itself."""

import time
from collections.abc import Callable
from time import sleep

NOW_AND_THEN = 1.0
SOON = 0.2
"""Seconds between two looks for what may be gone soon."""
CALM_WITHIN = 90.0
"""Seconds, after all is over, for what is busy or about to agree."""


def until(condition: Callable[[], bool], seconds: float | None = None, *, every: float = NOW_AND_THEN) -> bool:
    """Whether the condition came to hold within so many seconds; without a number, wait as long as it takes."""
    end = None if seconds is None else time.monotonic() + seconds
    while not condition():
        if end is not None and time.monotonic() > end:
            return False
        sleep(every)
    return True


def remaining(found: Callable[[], list[str]]) -> list[str]:
    """What is still found when the time for things to calm down is over; nothing as soon as nothing is."""
    latest: list[str] = []

    def nothing_is() -> bool:
        latest[:] = found()
        return not latest

    until(nothing_is, CALM_WITHIN)
    return latest
