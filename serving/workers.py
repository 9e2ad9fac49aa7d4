"""The server's worker processes: started again for ever when they die, and gone when their server is."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from granian.log import logger
from granian.server import MPServer

DRAIN_SECONDS = 10
"""For so long a worker that is stopped may answer the requests under way."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0
_CALM_SECONDS = 30.0
"""A worker that lived for so long died of something else than the one before it."""


def next_pause(before: float, lived: float) -> float:
    """Seconds until a worker that died is started again: none after a calm life, ever more after short ones.

    >>> [next_pause(0.0, lived=3600), next_pause(0.0, lived=1), next_pause(0.5, lived=1), next_pause(8.0, lived=1)]
    [0.0, 0.5, 1.0, 10.0]
    """
    return 0.0 if lived >= _CALM_SECONDS else min(max(2 * before, _FIRST_PAUSE), _LONGEST_PAUSE)


class EnduringServer(MPServer):
    """Granian's server, which by itself ends when a worker dies twice within seconds."""

    def _serve_loop(self, spawn_target: Callable[..., None], target_loader: Callable[..., Any]) -> None:
        pauses = dict.fromkeys(range(self.workers), 0.0)
        due: dict[int, float] = {}  # when to start a worker again, by its number
        while not self.interrupt_signal:
            self.main_loop_interrupt.wait(max(0.0, min(due.values()) - time.monotonic()) if due else None)
            self.main_loop_interrupt.clear()
            if self.reload_signal:
                self._reload(spawn_target, target_loader)  # type: ignore[no-untyped-call]
                due.clear()
            now = time.monotonic()
            while self.interrupt_children:
                number = self.interrupt_children.pop()
                if self.wrks[number].is_alive():  # another one took its place meanwhile
                    continue
                pauses[number] = next_pause(pauses[number], now - self.wrks[number].birth)
                due[number] = now + pauses[number]
            for number in [number for number, at in due.items() if at <= now]:
                del due[number]
                try:
                    self._start_again(number, spawn_target, target_loader)
                except OSError as error:  # no process can be made now
                    logger.error(f"worker-{number + 1} not started: {error}")
                    due[number] = now + _LONGEST_PAUSE

    def _start_again(self, number: int, target: Callable[..., None], loader: Callable[..., Any]) -> None:
        worker = self._spawn_worker(idx=number, target=target, callback_loader=loader)
        worker.start()  # type: ignore[no-untyped-call]
        self.wrks[number] = worker


def end_with_server() -> None:
    """Have this worker drain and end once its server is gone, however that ended; else it would go on unseen."""
    server = multiprocessing.parent_process()
    if server is not None:
        threading.Thread(target=_end_after, args=(server.join,), name="end-with-server", daemon=True).start()


def _end_after(gone: Callable[[], None]) -> None:
    gone()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
