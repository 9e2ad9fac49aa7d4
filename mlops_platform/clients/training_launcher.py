"""The training launcher from outside: start a training run as a container, follow it to its end, remove it.

A run is known by its use case and its run id, and by nothing of Docker's. All calls may be made again: a run that is
under way is taken up, not started twice. So each call is tried again while the launcher is away, up to ``patience``.
"""

import time
from collections.abc import Callable
from typing import Annotated, Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mlops_platform.errors import PlatformError

RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.~:+-]{0,249}$")]
"""A run's id: what Airflow takes for one, as long as it can be."""
LogTime = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?$")]
"""A moment in UTC, to the nanosecond, in the form in which later ones sort after earlier ones."""

_TIMEOUT = 120.0
"""Seconds for one answer: to start a run a snapshot is copied, and its results when it has ended."""
_POLL_SECONDS = 1.0
PATIENCE = 180.0
"""Seconds for which the launcher may be away: longer than it takes to be started again."""


class LauncherAway(PlatformError):
    """The launcher or the engine behind it does not answer. Another attempt may find them."""

    transient = True


class RunLost(PlatformError):
    """The run's container is gone. Another attempt makes a new one."""

    transient = True


class LauncherRefused(PlatformError):
    """The launcher understood, and does not do it."""


class LogLine(BaseModel):
    """A line that a run printed, and when."""

    model_config = ConfigDict(frozen=True)

    at: LogTime
    text: str


class TrainingState(BaseModel):
    """How a run is: its exit code once it has ended, None before; and the lines that were asked for."""

    model_config = ConfigDict(frozen=True)

    exit_code: int | None
    lines: tuple[LogLine, ...] = ()


class Problem(BaseModel):
    """Why something was not done."""

    model_config = ConfigDict(frozen=True)

    what: str = Field(min_length=1)
    remedy: str


class TrainingLauncher:
    """Blocking calls. A context manager.

    Args:
        patience: seconds for which the launcher may be away.

    Raises:
        LauncherAway: from every method, where it is away for longer.
        LauncherRefused: from every method, where it says no.
    """

    def __init__(
        self, url: str, token: str, *, poll_seconds: float = _POLL_SECONDS, patience: float = PATIENCE
    ) -> None:
        self._poll_seconds = poll_seconds
        self._patience = patience
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def start(self, use_case: str, snapshot: str, run_id: str) -> None:
        """Start the run, or take up the one that is under way. One that failed is started anew."""
        self._ask("PUT", _run(use_case, run_id), {"snapshot": snapshot})

    def follow(self, use_case: str, run_id: str, show: Callable[[str], None]) -> int:
        """Wait for the run's end; its exit code. With 0 its results are in the lake.

        Args:
            show: is given each line that the run prints, from the first one on.

        Raises:
            RunLost: it was never started, or somebody removed it.
        """
        after: dict[str, str] = {}
        while True:
            state = TrainingState.model_validate(self._ask("GET", _run(use_case, run_id), after))
            for line in state.lines:
                show(line.text)
                after = {"after": line.at}
            if state.exit_code is not None:
                return state.exit_code
            time.sleep(self._poll_seconds)

    def remove(self, use_case: str, run_id: str) -> None:
        """End the run, if it is under way, and forget it; what is not there is no error."""
        self._ask("DELETE", _run(use_case, run_id), {})

    def _ask(self, method: str, path: str, parameters: dict[str, str]) -> Any:
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._answer(method, path, parameters)
            except LauncherAway:
                if time.monotonic() >= end:
                    raise
            time.sleep(self._poll_seconds)

    def _answer(self, method: str, path: str, parameters: dict[str, str]) -> Any:
        try:
            response = self._http.request(method, path, params=parameters)
        except httpx.TransportError as error:
            raise LauncherAway(
                f"the training launcher does not answer ({error!r})",
                remedy="see `docker compose logs training-launcher`",
            ) from None
        if response.is_success:
            return response.json() if response.content else None
        raise _refusal(response)


def _run(use_case: str, run_id: str) -> str:
    return f"/training-runs/{quote(use_case, safe='')}/{quote(run_id, safe='')}"


def _refusal(response: httpx.Response) -> PlatformError:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValueError:
        problem = Problem(
            what=f"it answered {response.status_code}: {response.text.strip()[:200]}",
            remedy="see `docker compose logs training-launcher`",
        )
    if response.status_code == httpx.codes.NOT_FOUND:
        return RunLost(problem.what, remedy=problem.remedy)
    kind = LauncherAway if response.is_server_error else LauncherRefused
    return kind(f"the training launcher: {problem.what}", remedy=problem.remedy)
