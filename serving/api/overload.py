"""Tells when there is more to do than can be done: new requests are refused then, at a fraction of an answer's cost.

Two things are measured. The event loop answers late, by its own clock: a beat that is due waits in the loop behind the
requests that came before it, so its lateness is how long they wait, if they were many; a loop that is late with few of
them got no core from the machine, and to refuse the next one would help nobody. And the routes of the framework, of
which one can cost as much as a thousand lookups, take turns: few at once, so that the loop stays in time for everything
else, and none that would wait, or has waited, longer than the limit. So whoever is served waits that long at most.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from serving.problems import Problem, overloaded

BEAT_SECONDS = 0.02
LATE_SECONDS = 0.25
IN_TIME_SECONDS = 0.03
TURNS_AT_ONCE = 16
"""Twice as many as may wait for Hive or for an explanation, so that these leave room."""

_NEWEST_WEIGHT = 0.1


class Overload:
    """``shedding`` is true while new requests should be refused."""

    def __init__(self) -> None:
        self.shedding = False
        self.arrived = 0
        """Requests since the last beat."""
        self._turns = asyncio.Semaphore(TURNS_AT_ONCE)
        self._waiting = 0
        self._last_end = 0.0
        self._waiting_at_last_end = False
        self._seconds_per_turn = 0.0

    async def watch(self) -> None:
        """Beat for ever; there is nothing in a beat that could fail."""
        while True:
            due = time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            late = time.monotonic() - due
            many, self.arrived = self.arrived > TURNS_AT_ONCE, 0
            self.shedding = many and late > (IN_TIME_SECONDS if self.shedding else LATE_SECONDS)

    def admit(self) -> None:
        """Count a request that may be answered. Operators' do not count, nor those of callers without a right to ask.

        Raises:
            Problem: 503 while new requests are refused.
        """
        self.arrived += 1
        if self.shedding:
            raise too_much()

    def refuse_hopeless(self) -> None:
        """Raises a 503 where a new request would have to wait too long for its turn, as turns go at present."""
        if self._waiting * self._seconds_per_turn > LATE_SECONDS:
            raise too_much()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and have it.

        Raises:
            Problem: 503 where that takes, or would take, too long.
        """
        self.refuse_hopeless()
        asked = time.monotonic()
        begun = False
        self._waiting += 1
        try:
            async with self._turns:
                # whatever has arrived by now gets in the row, and whoever needs no turn goes before the next one
                await asyncio.sleep(0)
                begun = True
                self._waiting -= 1
                if time.monotonic() - asked > LATE_SECONDS:
                    raise too_much()
                yield
                self._measure()
        finally:
            if not begun:
                self._waiting -= 1

    def _measure(self) -> None:
        """Take in how long it was from the end of a turn to that of the next, while somebody waited all along."""
        ended = time.monotonic()
        if self._waiting_at_last_end:
            newest = ended - self._last_end
            before = self._seconds_per_turn or newest
            self._seconds_per_turn = before + _NEWEST_WEIGHT * (newest - before)
        else:
            self._seconds_per_turn = 0.0
        self._last_end = ended
        self._waiting_at_last_end = self._waiting > 0


def too_much() -> Problem:
    return overloaded("more requests than can be answered in time")
