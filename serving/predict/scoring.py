"""Scores rows one request at a time or, where several requests are there at once, together.

A call of the runtime costs some ten microseconds, and as much again for handing over the interpreter lock, whatever the
number of rows; a further row costs one or two. So single rows that arrive within one turn of the event loop are scored
by one call. Nobody waits for company: the call is made as soon as the turn ends.

A model that has no compiled form takes milliseconds: it is called in a thread, so that nobody else waits for it.
"""

import asyncio
from collections.abc import Sequence

from mlops_platform.models.outcome import Score
from mlops_platform.models.scorer import Row
from serving.model import ServedModel

Waiting = tuple[ServedModel, list[Row], list[asyncio.Future[Score]]]
"""Rows of several requests for one model, and who waits for each."""


class Scoring:
    """One worker's scoring; used from its event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[int, Waiting] = {}
        self._in_threads: set[asyncio.Task[None]] = set()

    async def score(self, model: ServedModel, rows: Sequence[Row]) -> list[Score]:
        """The score of each row; rows of one request are scored together."""
        if len(rows) == 1:
            return [await self.score_one(model, rows[0])]
        if model.is_compiled:
            return model.scorer.score_rows(rows)
        return await asyncio.to_thread(model.scorer.score_rows, rows)

    def score_one(self, model: ServedModel, row: Row) -> asyncio.Future[Score]:
        """The same of one row, to be awaited; scored together with those of other requests."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Score] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run_waiting)
        group = self._waiting.get(id(model))
        if group is None:
            self._waiting[id(model)] = (model, [row], [future])
        else:
            group[1].append(row)
            group[2].append(future)
        return future

    def _run_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for group in waiting.values():
            model, rows, futures = group
            if not model.is_compiled:
                task = asyncio.create_task(_run_in_thread(group))
                self._in_threads.add(task)  # the loop itself holds a task only weakly
                task.add_done_callback(self._in_threads.discard)
                continue
            try:
                scores = model.scorer.score_rows(rows)
            except Exception as error:  # whatever it is, it is each request's own failure
                _fail(futures, error)
                continue
            _tell(futures, scores)


async def _run_in_thread(group: Waiting) -> None:
    model, rows, futures = group
    try:
        scores = await asyncio.to_thread(model.scorer.score_rows, rows)
    except Exception as error:  # as above
        _fail(futures, error)
    else:
        _tell(futures, scores)


def _fail(futures: list[asyncio.Future[Score]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _tell(futures: list[asyncio.Future[Score]], scores: list[Score]) -> None:
    for future, score in zip(futures, scores, strict=True):
        if not future.done():  # its caller has gone
            future.set_result(score)
