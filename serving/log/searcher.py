"""Starts ``serving.log.search``, a process of its own that needs libraries which a worker does without."""

import asyncio
import sys
from typing import Any

import orjson

from mlops_platform.settings import PlatformSettings
from serving.problems import Problem

PATIENCE_SECONDS = 30.0


async def search_log(settings: PlatformSettings, request_id: str) -> list[dict[str, Any]]:
    """The request's records as they were logged, by position; none where the log has no such request.

    Raises:
        Problem: 503 where the log cannot be searched now, or not in time.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "serving.log.search", "--state-dir", str(settings.state_dir)),
        *("--request-id", request_id),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        raise _unsearchable(f"it took longer than {PATIENCE_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        reason = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise _unsearchable(reason or f"the search ended with status {process.returncode}")
    records: list[dict[str, Any]] = orjson.loads(output)
    return records


def _unsearchable(reason: str) -> Problem:
    return Problem(503, "log-search", f"the prediction log cannot be searched now: {reason}")
