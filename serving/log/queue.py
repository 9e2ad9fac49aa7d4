"""The bounded queue between answers and the disk, and what becomes of a record that there is no room for."""

import asyncio
import contextlib
import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

from serving.problems import Problem, overloaded

_LONGEST_WAIT = 0.25


@dataclass(frozen=True)
class LogPolicy:
    """``bound_seconds``: the longest time between an answer and its record on disk; 0 is before the answer.

    ``overflow``: where a record cannot be taken, ``refuse`` gives no answer either, ``drop`` answers and counts it.
    """

    bound_seconds: float = 1.0
    queue_limit: int = 50_000
    overflow: Literal["refuse", "drop"] = "refuse"
    publish_seconds: float = 20.0


class _Waiting(NamedTuple):
    """An answer that waits for its records: the last one's number in the order of all, and how many they are."""

    last: int
    records: int
    future: "asyncio.Future[None]"


class RecordQueue:
    """Records of answers, in order, until they are on disk.

    Answers use it on the event loop's thread, the writer takes from it on its own; no counter is changed by both.
    """

    def __init__(self, policy: LogPolicy) -> None:
        self.policy = policy
        self.dropped = 0
        self._limit = policy.queue_limit
        self._before_answers = policy.bound_seconds == 0
        self._lines: deque[bytes] = deque()
        self._reserved = 0
        self._accepted = 0
        self._settled = 0
        self._waiting: deque[_Waiting] = deque()
        self._wake = threading.Event()

    @property
    def queued(self) -> int:
        """Records that are not on disk yet, or have their place reserved."""
        return self._reserved + self._accepted - self._settled

    def reserve(self, records: int) -> "Reservation":
        """Keep room for so many records, before anything is predicted.

        Raises:
            Problem: 503 where there is no room and the policy is ``refuse``.
        """
        if self._reserved + self._accepted - self._settled + records > self._limit:
            if self.policy.overflow == "refuse":
                raise _not_recorded()
            self.dropped += records
            return Reservation(self, 0)
        self._reserved += records
        return Reservation(self, records)

    def fill(self, reservation: "Reservation") -> None:
        """Queue the lines of a reservation and give its room back."""
        lines, room = reservation.lines, reservation.room
        self._reserved -= room
        if not room or not lines:
            return
        self._accepted += len(lines)
        if self._before_answers:
            reservation.future = asyncio.get_running_loop().create_future()
            # before its lines, which may be on disk before the next step
            self._waiting.append(_Waiting(self._accepted, len(lines), reservation.future))
            self._lines.extend(lines)
            self._wake.set()
        else:
            self._lines.extend(lines)

    def wake(self) -> None:
        """End the writer's wait."""
        self._wake.set()

    def wait(self) -> None:
        """Returns when there are lines that must be written now, or it is time to look."""
        self._wake.wait(min(self.policy.bound_seconds / 2, _LONGEST_WAIT) or _LONGEST_WAIT)
        self._wake.clear()

    def take(self) -> list[bytes]:
        """All lines that are queued. The writer then says what became of them: :meth:`written` or :meth:`failed`."""
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def written(self, lines: list[bytes]) -> None:
        self._settle(len(lines), on_disk=True)

    def failed(self, lines: list[bytes]) -> None:
        """The lines are not on disk. Those of given answers stay, in order; an answer that waits for them is told."""
        if self._before_answers:
            self._settle(len(lines), on_disk=False)
        else:
            self._lines.extendleft(reversed(lines))

    def _settle(self, records: int, *, on_disk: bool) -> None:
        self._settled += records
        told: list[_Waiting] = []
        while self._waiting and self._waiting[0].last <= self._settled:
            told.append(self._waiting.popleft())
        if told:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                told[0].future.get_loop().call_soon_threadsafe(self._tell, told, on_disk)

    def _tell(self, waiting: list[_Waiting], on_disk: bool) -> None:
        for one in waiting:
            refused = not on_disk and self.policy.overflow == "refuse"
            if not on_disk and not refused:
                self.dropped += one.records
            if one.future.done():
                continue  # the request was cancelled
            if refused:
                one.future.set_exception(_not_recorded())
            else:
                one.future.set_result(None)


class Reservation:
    """Room for the records of one answer: within ``with`` add them to ``lines``, then await :meth:`on_disk`.

    An answer that fails within ``with`` leaves no record. ``room`` is 0 for an answer that goes unrecorded.
    """

    __slots__ = ("_queue", "future", "lines", "room")

    def __init__(self, queue: RecordQueue, room: int) -> None:
        self._queue = queue
        self.room = room
        self.lines: list[bytes] = []
        self.future: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, _error: object, _traceback: object) -> None:
        if failed is not None:
            self.lines.clear()
        self._queue.fill(self)

    async def on_disk(self) -> None:
        """Returns when the records are on disk, where the policy's bound is 0; at once otherwise.

        Raises:
            Problem: 503 where they cannot be written and the policy is ``refuse``.
        """
        if self.future is not None:
            await self.future


def _not_recorded() -> Problem:
    return overloaded("the prediction log cannot take more records now; nothing was predicted")
