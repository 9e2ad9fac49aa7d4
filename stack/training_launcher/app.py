"""The launcher's HTTP interface: one resource, a training run, that is put, asked for and deleted.

A request holds a use case, a run id, a snapshot and the time of a log line, each of which has to match its grammar, and
the token. Bodies are not read.
"""

import asyncio
import contextlib
import datetime as dt
import hmac
from collections.abc import AsyncIterator
from typing import Annotated

import uvicorn
from docker.errors import DockerException
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as NoRoute

from mlops_platform.clients.training_launcher import LogTime, Problem, RunId, TrainingState
from mlops_platform.console import complain
from mlops_platform.errors import PlatformError
from mlops_platform.lake.snapshots import SnapshotId
from mlops_platform.use_case.spec import Identifier
from stack.training_launcher.containers import RunUnknown, TrainingContainers

SWEEP_SECONDS = 60.0
_SEE_LOG = "see `docker compose logs training-launcher`"
_SEE_GRAMMAR = "give what mlops_platform/clients/training_launcher.py sends"


def application(containers: TrainingContainers, token: str) -> FastAPI:
    """The application; from its start on it also sweeps up what nobody asks for any more."""

    @contextlib.asynccontextmanager
    async def sweeping(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep_for_ever(containers))
        yield
        task.cancel()

    app = FastAPI(lifespan=sweeping, openapi_url=None)
    app.include_router(_runs(containers, token))

    @app.get("/healthz", status_code=204, response_class=Response)
    def health() -> None:
        """The engine answers."""
        containers.ping()

    app.add_exception_handler(PlatformError, _refused)
    app.add_exception_handler(DockerException, _engine_failed)
    app.add_exception_handler(OSError, _engine_failed)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(NoRoute, _no_such_thing)
    return app


def server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """What the application is served by: strict about HTTP, without WebSockets or any other upgrade."""
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, http="h11", ws="none", log_level="warning"))


def _runs(containers: TrainingContainers, token: str) -> APIRouter:
    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        # bytes: a header may hold what compare_digest does not take as text
        if not hmac.compare_digest(authorization.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "the token is not the launcher's")

    runs = APIRouter(prefix="/training-runs/{use_case}/{run_id}", dependencies=[Depends(authorised)])

    @runs.put("", status_code=204, response_class=Response)
    def start(use_case: Identifier, run_id: RunId, snapshot: SnapshotId) -> None:
        containers.start(use_case, run_id, snapshot)

    @runs.get("")
    def state(use_case: Identifier, run_id: RunId, after: LogTime | None = None) -> TrainingState:
        return containers.state(use_case, run_id, after)

    @runs.delete("", status_code=204, response_class=Response)
    def remove(use_case: Identifier, run_id: RunId) -> None:
        containers.remove(use_case, run_id)

    return runs


async def _sweep_for_ever(containers: TrainingContainers) -> None:
    while True:
        try:
            await asyncio.to_thread(containers.sweep, dt.datetime.now(dt.UTC))
        except Exception as error:  # the engine may be away for a while; the next round is not given up for it
            complain(f"sweeping: {error!r}")
        await asyncio.sleep(SWEEP_SECONDS)


def _answer(status: int, what: str, remedy: str) -> JSONResponse:
    complain(f"{status}: {what}")
    return JSONResponse(Problem(what=what, remedy=remedy).model_dump(), status)


def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)  # noqa: S101 - what it is registered for
    status = 404 if isinstance(error, RunUnknown) else 503 if error.transient else 409
    return _answer(status, error.what, error.remedy)


def _engine_failed(_: Request, error: Exception) -> JSONResponse:
    return _answer(503, f"the engine or the lake failed: {error}", "see that Docker runs and that the disk has room")


def _not_understood(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
    found = "; ".join(f"{part['loc'][-1]}: {part['msg']}" for part in error.errors())
    return _answer(422, found, _SEE_GRAMMAR)


def _no_such_thing(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NoRoute)  # noqa: S101 - what it is registered for
    return _answer(error.status_code, error.detail, _SEE_GRAMMAR)
