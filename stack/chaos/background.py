"""What goes on beside a round: a thread whose end, good or bad, is its future's."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Found = TypeVar("Found")


def in_background(do: Callable[[], Found]) -> Future[Found]:
    """Start it now. It does not keep the program from ending."""
    future: Future[Found] = Future()

    def run() -> None:
        try:
            found = do()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)

    threading.Thread(target=run, daemon=True).start()
    return future
