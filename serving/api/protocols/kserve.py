"""The Open Inference Protocol (KServe V2) over JSON: a model is a use case's champion, or the version that is named.

A request is decoded to rows, and an answer is encoded from their predictions. Inputs are either one tensor per feature,
or the tensor ``id`` (BYTES) alone, whose features are looked up: such rows are predicted and recorded as those ids, by
the challenger where it has its share of them. A feature's tensor has the datatype of the model's metadata or another
one of its kind: numbers of any width, or BYTES; a null stands where the spec allows one. Outputs are ``prediction``
(INT64) and ``probability`` (FP64, of a 1); of several classes ``prediction`` (BYTES) and ``probabilities`` (FP64, a
column for each class, whose names are in the metadata); of a regression ``prediction`` (FP64).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter

from mlops_platform.models.outcome import MEMBERS
from mlops_platform.use_case.spec import UseCase
from mlops_platform.use_case.task import Task
from serving.api.document import COMPONENTS, MALFORMED, NOT_READY, UNFIT, UNKNOWN, problem_response
from serving.api.errors import validated, validated_json
from serving.api.named import served_from
from serving.api.protocols.tensors import InferRequest, Tensor, Value
from serving.api.responses import JSON, json_response, request_id_of
from serving.api.schemas import Schemas
from serving.model import ServedModel
from serving.predict.predictor import Asked, Prediction, look_up_all, require_model
from serving.problems import Problem, invalid
from serving.runtime import Runtime
from serving.served import Served

_BINARY_HEADER = "inference-header-content-length"
"""Says how much of a body is JSON; binary tensors follow it."""
_DATATYPES = {"int": "INT64", "double": "FP64", "string": "BYTES"}
_ID = "id"
_PREDICTIONS: dict[Task, str] = {"binary": "INT64", "multiclass": "BYTES", "regression": "FP64"}
_REQUEST: TypeAdapter[InferRequest] = TypeAdapter(InferRequest)


def kserve_routes(runtime: Runtime, schemas: dict[str, Schemas]) -> APIRouter:
    router = APIRouter(prefix="/v2", tags=["KServe V2"])

    @router.get("", summary="The server's name and version")
    async def server() -> dict[str, Any]:
        return {"name": "mlops-serving", "version": "1.0.0", "extensions": []}

    @router.get("/health/live", summary="The process answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @router.get("/health/ready", responses=NOT_READY, summary="At least one model answers and none is broken")
    async def ready() -> Response:
        found = runtime.readiness()["status"] == "ready"
        return json_response({"ready": found}, status=200 if found else 503)

    @router.get("/models/{name}", responses=UNKNOWN, summary="A model's inputs and outputs")
    @router.get("/models/{name}/versions/{version}", responses=UNKNOWN | UNFIT, summary="The same of one version")
    async def model(name: str, version: str | None = None) -> dict[str, Any]:
        served = await _served(runtime, name, version)
        return _metadata(served.use_case, require_model(served))

    @router.get("/models/{name}/ready", responses=UNKNOWN, summary="The model answers")
    @router.get("/models/{name}/versions/{version}/ready", responses=UNKNOWN | UNFIT, summary="The version answers")
    async def model_ready(name: str, version: str | None = None) -> dict[str, Any]:
        served = await _served(runtime, name, version)
        require_model(served)
        return {"name": name, "ready": True}

    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        served = await _served(runtime, name, version)
        asked_for = await _decode(request)
        outputs = _outputs(asked_for, served.use_case)
        rows = await _rows(asked_for.inputs, served, schemas[name])
        request_id = request_id_of(request)
        found = await runtime.predictor.predict(served, rows, request_id)
        return json_response(_encode(served, found, outputs, asked_for.id or request_id, request_id))

    body = {"required": True, "content": {JSON: {"schema": {"$ref": f"{COMPONENTS}InferRequest"}}}}
    refusals = {**UNKNOWN, **UNFIT, 415: problem_response("binary tensors are not taken"), 422: MALFORMED}
    for path, summary in (("", "Predictions"), ("/versions/{version}", "Predictions by one version")):
        router.add_api_route(
            f"/models/{{name}}{path}/infer",
            infer,
            methods=["POST"],
            response_model=dict[str, Any],
            responses=refusals,
            openapi_extra={"requestBody": body},
            summary=summary,
        )
    return router


async def _served(runtime: Runtime, name: str, version: str | None) -> Served:
    """What the model is served from; where a version is named, it answers alone."""
    if name not in runtime.served:
        raise Problem(404, "unknown-model", f"there is no model of this name; there are {', '.join(runtime.served)}")
    if version is not None and not version.isdecimal():
        raise Problem(404, "unknown-version", "a version is a whole number")
    return await served_from(runtime, name, version)


def _metadata(use_case: UseCase, model: ServedModel) -> dict[str, Any]:
    return {
        "name": use_case.name,
        "versions": [model.version],
        "platform": "onnx" if model.is_compiled else "sklearn",
        "inputs": [_described(feature.name, _DATATYPES[feature.type]) for feature in use_case.features],
        "outputs": [_described_output(name, use_case) for name in MEMBERS[use_case.task]],
        "parameters": {"instead_of_inputs": _described(_ID, "BYTES")},
    }


def _described(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, 1]}


def _described_output(name: str, use_case: UseCase) -> dict[str, Any]:
    if name != "probabilities":
        return _described(name, _datatype(name, use_case))
    classes = use_case.label.classes
    return {
        **_described(name, _datatype(name, use_case)),
        "shape": [-1, len(classes)],
        "parameters": {"classes": list(classes)},
    }


def _datatype(output: str, use_case: UseCase) -> str:
    return _PREDICTIONS[use_case.task] if output == "prediction" else "FP64"


async def _decode(request: Request) -> InferRequest:
    """The request, whatever its content type says: Triton's client sends none."""
    if _BINARY_HEADER in request.headers:
        raise Problem(415, "binary-tensors", "binary tensors are not taken: send them in the JSON")
    decoded: InferRequest = validated_json(_REQUEST, await request.body(), "body")
    return decoded


def _outputs(asked_for: InferRequest, use_case: UseCase) -> list[str]:
    """The names of the outputs, in the order asked for."""
    there = MEMBERS[use_case.task]
    wanted = [output.name for output in asked_for.outputs] if asked_for.outputs else list(there)
    if not set(wanted) <= set(there):
        raise invalid(f"outputs: there are {', '.join(there)}")
    return wanted


async def _rows(inputs: Sequence[Tensor], served: Served, schemas: Schemas) -> list[Asked]:
    """The rows to predict, each with its id where they were asked for by id."""
    columns = {tensor.name: tensor.values() for tensor in inputs}
    lengths = {len(column) for column in columns.values()}
    if len(columns) != len(inputs) or len(lengths) != 1 or not 0 < min(lengths) <= schemas.batch_limit:
        raise invalid(f"inputs: expected tensors of different names, of one length between 1 and {schemas.batch_limit}")
    if set(columns) == {_ID}:
        return await _looked_up(inputs[0], columns[_ID], served, schemas)
    kinds = {feature.name: feature.type for feature in served.use_case.features}
    for tensor in inputs:
        if tensor.name in kinds:
            _require_kind(tensor, numbers=kinds[tensor.name] != "string")
    schema: TypeAdapter[Any] = TypeAdapter(schemas.feature_input)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [Asked(None, None, validated(schema, row, f"inputs.{at}").model_dump()) for at, row in enumerate(rows)]


async def _looked_up(tensor: Tensor, values: Sequence[Value], served: Served, schemas: Schemas) -> list[Asked]:
    _require_kind(tensor, numbers=False)
    schema: TypeAdapter[str] = TypeAdapter(schemas.entity_id)
    return await look_up_all(
        served, [validated(schema, value, f"inputs.{_ID}.{at}") for at, value in enumerate(values)]
    )


def _require_kind(tensor: Tensor, *, numbers: bool) -> None:
    fits = tensor.of_numbers if numbers else tensor.datatype == "BYTES"
    if not fits:
        expected = "numbers" if numbers else "BYTES"
        raise invalid(f"inputs.{tensor.name}: expected a tensor of {expected}, found {tensor.datatype}")


def _encode(
    served: Served, found: Sequence[Prediction], outputs: Sequence[str], name: str, request_id: str
) -> dict[str, Any]:
    versions = {answer.model.version for answer in found}
    return {
        "model_name": served.use_case.name,
        # with a challenger several may answer one request; the protocol has room for one
        **({"model_version": versions.pop()} if len(versions) == 1 else {}),
        "id": name,
        "parameters": {"request_id": request_id, "snapshot": served.snapshot_id},
        "outputs": [_tensor(output, found, served.use_case) for output in outputs],
    }


def _tensor(output: str, found: Sequence[Prediction], use_case: UseCase) -> dict[str, Any]:
    rows: list[Mapping[str, Any]] = [dict(answer.outcome) for answer in found]
    classes = use_case.label.classes
    if output == "probabilities":
        columns, data = len(classes), [row[output][name] for row in rows for name in classes]
    else:
        columns, data = 1, [row[output] for row in rows]
    return {"name": output, "shape": [len(rows), columns], "datatype": _datatype(output, use_case), "data": data}
