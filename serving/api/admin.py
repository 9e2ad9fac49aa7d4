"""What changes who answers: rollback, routing, replay. Below ``/admin/``, which asks for a key of the scope admin."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from mlops_platform.errors import PlatformError
from mlops_platform.files import write_json
from mlops_platform.models.registry import RegistryDown
from mlops_platform.models.routing import Routing
from serving.api.document import Responses, problem_response
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


RESPONSES: Responses = {
    404: problem_response("no such use case or request"),
    409: problem_response("what was asked for cannot be served; nothing was changed"),
    503: problem_response("the registry or the log's search does not answer"),
}


def admin_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/admin", tags=["Administration"])

    @router.post("/{use_case}/rollback", responses=RESPONSES, summary="Make an earlier version the champion again")
    async def rollback(use_case: str, body: RollbackRequest | None = None) -> dict[str, str | None]:
        _require(runtime, use_case)
        try:
            found = await runtime.followers[use_case].roll_back(body.version if body else None)
        except NoEarlierChampion as error:
            raise Problem(409, "no-earlier-champion", error.what) from None
        except RegistryDown:
            raise
        except (PlatformError, OSError) as error:
            raise Problem(409, "version-refused", str(error)) from None
        return {"use_case": use_case, "champion": found.champion, "before": found.before}

    @router.get("/{use_case}/routing", responses=RESPONSES, summary="Who answers")
    async def routing(use_case: str) -> Routing:
        _require(runtime, use_case)
        return runtime.served[use_case].routing

    @router.put("/{use_case}/routing", responses=RESPONSES, summary="Set who answers, in every worker within a second")
    async def set_routing(use_case: str, body: Routing) -> Routing:
        _require(runtime, use_case)
        try:
            await asyncio.to_thread(write_json, runtime.paths.routing(use_case), body.model_dump())
        except OSError as error:
            raise Problem(503, "cannot-write", f"the routing stays as it is: {error.strerror}") from None
        await runtime.followers[use_case].follow_routing()
        return body

    @router.get("/replay/{request_id}", responses=RESPONSES, summary="Give a logged answer again and compare")
    async def replay_request(request_id: Annotated[str, Path(pattern=r"^[0-9a-f]{10,40}$")]) -> Response:
        records = await search_log(runtime.settings, request_id)
        if not records:
            raise Problem(404, "unknown-request", f"the prediction log has no request {request_id}")
        return json_response(await runtime.replay.answer(request_id, records))

    return router


def _require(runtime: Runtime, use_case: str) -> None:
    if use_case not in runtime.use_cases:
        known = ", ".join(runtime.use_cases)
        raise Problem(404, "unknown-use-case", f"there is no use case of this name; the use cases are {known}")
