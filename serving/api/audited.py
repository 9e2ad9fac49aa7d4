"""Acts of administrators, on record before they are done and after."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from fastapi import Request

from mlops_platform.audit import Act, AuditLog, End, NotRecorded, ended_by
from mlops_platform.clients.prediction_service import ON_BEHALF_OF
from serving.api.responses import caller_of, request_id_of
from serving.problems import Problem

_LONGEST_NAME = 100


@contextlib.asynccontextmanager
async def audited(
    log: AuditLog, request: Request, action: str, use_case: str | None = None, **subject: Any
) -> AsyncIterator[dict[str, Any]]:
    """Record what is done within, away from the event loop; what is put into the dictionary is its outcome.

    Of an act whose request is cancelled nobody knows how it ends: its threads go on.

    Raises:
        Problem: 503 where nothing can be recorded; nothing was done.
    """
    act = _act(request, action, use_case, subject)
    try:
        await asyncio.to_thread(log.begin, act)
    except NotRecorded as error:
        raise Problem(503, "not-recorded", str(error), headers={"retry-after": "5"}) from None
    outcome: dict[str, Any] = {}
    try:
        yield outcome
    except Problem as problem:
        await asyncio.to_thread(log.end, act, End(result="refused", reason=problem.detail))
        raise
    except Exception as error:
        await asyncio.to_thread(log.end, act, ended_by(error))
        raise
    await asyncio.to_thread(log.end, act, End(result="done", outcome=outcome))


def _act(request: Request, action: str, use_case: str | None, subject: dict[str, Any]) -> Act:
    caller = caller_of(request)
    named = unquote(request.headers.get(ON_BEHALF_OF, ""))[:_LONGEST_NAME]
    return Act(
        who="unknown" if caller is None else caller.name,
        on_behalf_of=named if named.isprintable() and named else None,
        source=f"http from {request.client.host if request.client else 'unknown'}",
        action=action,
        use_case=use_case,
        subject=subject,
        request_id=request_id_of(request),
    )
