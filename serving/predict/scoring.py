"""Scores rows one request at a time or, where several requests are there at once, together.

A call of the runtime costs some ten microseconds, and as much again for handing over the interpreter lock, whatever the
number of rows; a further row costs one or two. So single rows that arrive within one turn of the event loop are scored
by one call. Nobody waits for company: the call is made as soon as the turn ends.
"""

import asyncio
from collections.abc import Sequence

from mlops_platform.models.scorer import Row
from serving.model import ServedModel

DECIMALS = 12
"""Probabilities are rounded to so many, because the runtime adds up a batch in another order than a single row:
the same row has to get the same answer in whatever company."""


class Scoring:
    """One worker's scoring; used from its event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[ServedModel, list[Row], list[asyncio.Future[float]]]] = {}

    async def score(self, model: ServedModel, rows: Sequence[Row]) -> list[float]:
        """The probability of the positive class of each row; rows of one request are scored together."""
        return [await self.score_one(model, rows[0])] if len(rows) == 1 else _run(model, rows)

    def score_one(self, model: ServedModel, row: Row) -> asyncio.Future[float]:
        """The same of one row, to be awaited; scored together with those of other requests."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
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
        for model, rows, futures in waiting.values():
            try:
                found = _run(model, rows)
            except Exception as error:  # whatever it is, it is each request's own failure
                for future in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            for future, probability in zip(futures, found, strict=True):
                if not future.done():  # its caller has gone
                    future.set_result(probability)


def _run(model: ServedModel, rows: Sequence[Row]) -> list[float]:
    return [round(probability, DECIMALS) for probability in model.scorer.probabilities(rows)]
