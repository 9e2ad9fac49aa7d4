"""The Open Inference Protocol (KServe V2) over JSON: a model is a use case's champion.

Inputs are either the tensor ``id`` (BYTES), whose features are looked up, or one tensor per feature, each of shape
``[n]`` or ``[n, 1]``, a null where the spec allows one. Outputs are ``prediction`` (INT64) and ``probability`` (FP64).
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, TypeAdapter

from mlops_platform.models.scorer import Row
from mlops_platform.use_case.spec import UseCase
from serving.api import answers
from serving.api.responses import JSON, READS, UNKNOWN, json_response, malformed, request_id_of, validated
from serving.api.schemas import Schemas
from serving.predict.predictor import Asked, Prediction, look_up_all, require_champion
from serving.problems import Problem, invalid
from serving.runtime import Runtime
from serving.served import Served

_DATATYPES = {"int": "INT64", "double": "FP64", "string": "BYTES"}
Datatype = Literal["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "FP32", "FP64", "BYTES"]
BINARY_HEADER = "inference-header-content-length"
"""Says how much of a body is JSON; binary tensors follow it."""
Value = int | float | str | bool | None


class Tensor(BaseModel):
    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: Datatype
    parameters: dict[str, Any] | None = None
    data: list[Value | list[Value]]


class RequestedOutput(BaseModel):
    name: str
    parameters: dict[str, Any] | None = None


class InferRequest(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = None


class _ProtocolRoute(APIRoute):
    """What the protocol's clients expect of each route: a body is JSON though Triton's client does not say so, and an
    error has the protocol's own member ``error`` beside the standard's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_protocol(request: Request) -> Response:
            headers = [header for header in request.scope["headers"] if header[0] != b"content-type"]
            as_json = {**request.scope, "headers": [*headers, (b"content-type", JSON.encode())]}
            try:
                if BINARY_HEADER in request.headers:
                    raise Problem(415, "binary-tensors", "binary tensors are not taken: send them in the JSON")
                return await answer(Request(as_json, request.receive))
            except RequestValidationError as error:
                problem = malformed(error)
            except Problem as error:
                problem = error
            problem.members["error"] = problem.detail
            raise problem

        return answer_protocol


def kserve_routes(runtime: Runtime) -> APIRouter:
    router = APIRouter(prefix="/v2", tags=["KServe V2"], route_class=_ProtocolRoute)

    @router.get("", summary="The server's name and version")
    async def server() -> dict[str, Any]:
        return {"name": "mlops-serving", "version": "1.0.0", "extensions": []}

    @router.get("/health/live", summary="The process answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready", responses=READS, summary="At least one model answers and none is broken")
    async def ready() -> Response:
        found = runtime.readiness()["status"] == "ready"
        return json_response(answers.dump({"ready": found}), status=200 if found else 503)

    @router.get("/models/{name}", responses=READS | UNKNOWN, summary="A model's inputs and outputs")
    @router.get("/models/{name}/versions/{version}", responses=READS | UNKNOWN, summary="The same of one version")
    async def model(name: str, version: str | None = None) -> dict[str, Any]:
        served = _served(runtime, name, version)
        return _metadata(served.use_case, require_champion(served).version)

    @router.get("/models/{name}/ready", responses=READS | UNKNOWN, summary="The model answers")
    @router.get("/models/{name}/versions/{version}/ready", responses=READS | UNKNOWN, summary="The version answers")
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        served = _served(runtime, name, version)
        require_champion(served)
        return {"name": name, "ready": True}

    @router.post("/models/{name}/infer", responses=READS | UNKNOWN, summary="Predictions")
    @router.post("/models/{name}/versions/{version}/infer", responses=READS | UNKNOWN, summary="By one version")
    async def infer(request: Request, name: str, body: InferRequest, version: str | None = None) -> Response:
        served = _served(runtime, name, version)
        rows = _rows(served, body.inputs, runtime.settings.serving_batch_limit)
        request_id = request_id_of(request)
        found = await runtime.predictor.predict(served, [Asked(None, None, row) for row in rows], request_id)
        return json_response(answers.dump(_answer(name, body, found, request_id, served)))

    return router


def _served(runtime: Runtime, name: str, version: str | None) -> Served:
    if name not in runtime.served:
        raise Problem(404, "unknown-model", f"there is no model of this name; there are {', '.join(runtime.served)}")
    served = runtime.served[name]
    if version is not None and (served.champion is None or version != served.champion.version):
        raise Problem(404, "unknown-version", f"only the champion of {name} answers, which is another version")
    return served


def _metadata(use_case: UseCase, version: str) -> dict[str, Any]:
    return {
        "name": use_case.name,
        "versions": [version],
        "platform": "onnx",
        "inputs": [
            {"name": feature.name, "datatype": _DATATYPES[feature.type], "shape": [-1, 1]}
            for feature in use_case.features
        ],
        "outputs": [
            {"name": "prediction", "datatype": "INT64", "shape": [-1, 1]},
            {"name": "probability", "datatype": "FP64", "shape": [-1, 1]},
        ],
    }


def _rows(served: Served, inputs: Sequence[Tensor], limit: int) -> list[Row]:
    columns = {tensor.name: _column(tensor) for tensor in inputs}
    lengths = {len(column) for column in columns.values()}
    if len(columns) != len(inputs) or len(lengths) != 1 or not 0 < min(lengths) <= limit:
        raise invalid(f"inputs: expected tensors of different names, of one length between 1 and {limit}")
    if set(columns) == {"id"}:
        schema: TypeAdapter[str] = TypeAdapter(Schemas(served.use_case).entity_id)
        ids = [validated(schema, value, f"inputs.id.{at}") for at, value in enumerate(columns["id"])]
        return [asked.features for asked in look_up_all(served, ids)]
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    row_schema: TypeAdapter[Any] = TypeAdapter(Schemas(served.use_case).feature_input)
    whole = {feature.name for feature in served.use_case.features if feature.type == "int"}
    return [
        validated(
            row_schema, {name: _number(value, name in whole) for name, value in row.items()}, f"inputs.{at}"
        ).model_dump()
        for at, row in enumerate(rows)
    ]


def _column(tensor: Tensor) -> list[Value]:
    flat: list[Value] = []
    for value in tensor.data:
        flat.extend(value if isinstance(value, list) else [value])
    size = tensor.shape[0] * (tensor.shape[1] if len(tensor.shape) > 1 else 1)
    if len(flat) != size or tensor.shape[1:] not in ([], [1]):
        raise invalid(f"inputs.{tensor.name}: expected shape [n] or [n, 1] and as many values")
    return flat


def _number(value: Value, whole: bool) -> Value:
    """A float tensor may carry whole numbers: a client sends all columns as one type."""
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _answer(
    name: str, body: InferRequest, found: Sequence[Prediction], request_id: str, served: Served
) -> dict[str, Any]:
    outputs: dict[str, dict[str, Any]] = {
        "prediction": {"datatype": "INT64", "data": [answer.label for answer in found]},
        "probability": {"datatype": "FP64", "data": [answer.probability for answer in found]},
    }
    wanted = [output.name for output in body.outputs] if body.outputs else list(outputs)
    unknown = sorted(set(wanted) - set(outputs))
    if unknown:
        raise invalid(f"outputs: there are {', '.join(outputs)}")
    return {
        "model_name": name,
        "model_version": found[0].model.version,
        "id": body.id or request_id,
        "parameters": {"request_id": request_id, "snapshot": served.snapshot_id},
        "outputs": [{"name": output, "shape": [len(found), 1], **outputs[output]} for output in wanted],
    }
