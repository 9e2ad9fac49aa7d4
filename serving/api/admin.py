"""What changes who answers, and who may ask: rollback, routing, replay, keys. Each act is on record (``audited.py``).

Below ``/admin/``, which asks for a key of the scope admin.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.errors import PlatformError
from mlops_platform.files import write_json
from mlops_platform.models.registry import RegistryDown
from mlops_platform.models.routing import Routing
from serving.api.audited import audited
from serving.api.document import Responses, problem_response
from serving.api.keys import ApiKeys, KeyName, KeysUnreadable, Scope, add_key, remove_key
from serving.api.responses import json_response
from serving.follow.use_case import NoEarlierChampion
from serving.log.searcher import search_log
from serving.problems import Problem
from serving.runtime import Runtime


class RollbackRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: str | None = Field(
        default=None, pattern=r"^[1-9][0-9]{0,8}$", description="go to this version; without it, to the champion before"
    )


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: KeyName = Field(description="whose key it is; the audit log names it")
    scope: Scope = Field(default="read", description="`admin` also administers the service")


class Key(BaseModel):
    name: str
    scope: Scope


class NewKey(Key):
    key: str = Field(description="the key itself, which cannot be had again")


RESPONSES: Responses = {
    404: problem_response("no such use case, request or key"),
    409: problem_response("what was asked for cannot be done; nothing was changed"),
    503: problem_response("the registry, the log's search or the disk does not answer"),
}


def admin_routes(runtime: Runtime, keys: ApiKeys) -> APIRouter:
    router = APIRouter(prefix="/admin", tags=["Administration"])
    _add_models(router, runtime)
    _add_replay(router, runtime)
    _add_keys(router, runtime, keys)
    return router


def _add_models(router: APIRouter, runtime: Runtime) -> None:
    @router.post("/{use_case}/rollback", responses=RESPONSES, summary="Make an earlier version the champion again")
    async def rollback(request: Request, use_case: str, body: RollbackRequest | None = None) -> dict[str, str | None]:
        _require(runtime, use_case)
        version = body.version if body else None
        async with audited(runtime.audit, request, "rollback", use_case, version=version) as outcome:
            try:
                found = await runtime.followers[use_case].roll_back(version)
            except NoEarlierChampion as error:
                raise Problem(409, "no-earlier-champion", error.what) from None
            except RegistryDown:
                raise
            except (PlatformError, OSError) as error:
                raise Problem(409, "version-refused", str(error)) from None
            outcome.update(champion=found.champion, before=found.before)
        return {"use_case": use_case, "champion": found.champion, "before": found.before}

    @router.get("/{use_case}/routing", responses=RESPONSES, summary="Who answers")
    async def routing(use_case: str) -> Routing:
        _require(runtime, use_case)
        return runtime.served[use_case].routing

    @router.put("/{use_case}/routing", responses=RESPONSES, summary="Set who answers, in every worker within a second")
    async def set_routing(request: Request, use_case: str, body: Routing) -> Routing:
        _require(runtime, use_case)
        async with audited(runtime.audit, request, "routing", use_case, **body.model_dump()):
            try:
                await asyncio.to_thread(write_json, runtime.paths.routing(use_case), body.model_dump())
            except OSError as error:
                raise Problem(503, "cannot-write", f"the routing stays as it is: {error.strerror}") from None
            await runtime.followers[use_case].follow_routing()
        return body


def _add_replay(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/replay/{request_id}", responses=RESPONSES, summary="Give a logged answer again and compare")
    async def replay_request(
        request: Request, request_id: Annotated[str, Path(pattern=r"^[0-9a-f]{10,40}$")]
    ) -> Response:
        async with audited(runtime.audit, request, "replay", replayed=request_id):
            records = await search_log(runtime.settings, request_id)
            if not records:
                raise Problem(404, "unknown-request", f"the prediction log has no request {request_id}")
            return json_response(await runtime.replay.answer(request_id, records))


def _add_keys(router: APIRouter, runtime: Runtime, keys: ApiKeys) -> None:
    path = runtime.paths.api_keys

    @router.get("/keys", summary="Whose keys there are")
    async def list_keys() -> list[Key]:
        return [Key(name=caller.name, scope=caller.scope) for caller in keys.of_file]

    @router.post("/keys", status_code=201, responses=RESPONSES, summary="Make a key, which is shown once")
    async def make_key(request: Request, body: KeyRequest) -> NewKey:
        async with audited(runtime.audit, request, "key made", name=body.name, scope=body.scope):
            with _refused_as(409, "key-exists"):
                key = await asyncio.to_thread(add_key, path, body.name, body.scope)
            await keys.follow()
        return NewKey(name=body.name, scope=body.scope, key=key)

    @router.delete("/keys/{name}", responses=RESPONSES, summary="Make a key worthless, in every worker within a second")
    async def revoke_key(request: Request, name: str) -> dict[str, str]:
        async with audited(runtime.audit, request, "key removed", name=name):
            with _refused_as(404, "unknown-key"):
                await asyncio.to_thread(remove_key, path, name)
            await keys.follow()
        return {"removed": name}


@contextlib.contextmanager
def _refused_as(status: int, type_: str) -> Iterator[None]:
    try:
        yield
    except KeysUnreadable as error:
        raise Problem(503, "keys-unreadable", str(error)) from None
    except PlatformError as error:
        raise Problem(status, type_, str(error)) from None
    except OSError as error:
        raise Problem(503, "cannot-write", f"the keys stay as they are: {error.strerror}") from None


def _require(runtime: Runtime, use_case: str) -> None:
    if use_case not in runtime.use_cases:
        known = ", ".join(runtime.use_cases)
        raise Problem(404, "unknown-use-case", f"there is no use case of this name; the use cases are {known}")
