"""Tells when there is more to do than can be done: the event loop answers late, by its own clock.

A beat that is due waits in the loop behind the requests that came before it, so its lateness is how long they wait.
Past a limit new requests are refused, which costs a fraction of an answer, until a beat is in time again.
"""

import asyncio
import time

BEAT_SECONDS = 0.02
LATE_SECONDS = 0.25
IN_TIME_SECONDS = 0.03


class Overload:
    """``shedding`` is true while new requests should be refused."""

    def __init__(self) -> None:
        self.shedding = False
        self.refused = 0

    async def watch(self) -> None:
        """Beat for ever."""
        while True:
            due = time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            late = time.monotonic() - due
            self.shedding = late > (IN_TIME_SECONDS if self.shedding else LATE_SECONDS)
