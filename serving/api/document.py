"""The API's document: the framework's, with what the gate does in front of every route.

A route documents its own refusals only. Which routes ask for a key, and what any request may be refused for, is said
here once for all of them, by the rules that the gate goes by.
"""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from serving.api.access import for_operators, scope_asked_for
from serving.api.protocols.tensors import InferRequest
from serving.api.responses import JSON
from serving.problems import MEDIA_TYPE, ProblemDocument

COMPONENTS = "#/components/schemas/"
Responses = dict[int | str, dict[str, Any]]

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "an API key"},
}


def problem_response(description: str) -> dict[str, Any]:
    """An entry of a route's documented responses."""
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{COMPONENTS}ProblemDocument"}}}}


NOT_READY: Responses = {503: {"description": "not ready", "content": {JSON: {"schema": {"type": "object"}}}}}
UNKNOWN: Responses = {404: problem_response("no such id, model or version")}
UNFIT: Responses = {409: problem_response("the model that is named cannot be served")}
MALFORMED = problem_response("the request is malformed")


def by_reference(schema: TypeAdapter[Any]) -> dict[str, Any]:
    """A schema whose parts are documented by another route."""
    found = schema.json_schema(ref_template=COMPONENTS + "{model}")
    del found["$defs"]
    return found


def complete(document: dict[str, Any], *, keys_required: bool) -> None:
    """Adds to each operation the keys that it asks for, and the refusals that any request may meet."""
    components = document["components"]
    components["securitySchemes"] = _SCHEMES
    for needless in ("HTTPValidationError", "ValidationError"):  # the framework's own shape of a 422
        components["schemas"].pop(needless, None)
    for model in (ProblemDocument, InferRequest):
        components["schemas"] |= _schemas(model)
    for path, operations in document["paths"].items():
        asked_for = scope_asked_for(path, keys_required=keys_required)
        for operation in operations.values():
            operation["security"] = [{scheme: []} for scheme in _SCHEMES] if asked_for else []
            own = operation["responses"]
            refusals = _refusals(path) | _refusals_of_keys(asked_for)
            if "422" in own:
                own["422"] = MALFORMED
            operation["responses"] = dict(sorted((refusals | own).items()))


def _refusals(path: str) -> dict[str, Any]:
    found = {
        "400": problem_response("the request cannot be read"),
        "408": problem_response("the body did not come in time"),
        "413": problem_response("the body is too large"),
        "500": problem_response("the service failed"),
    }
    if not for_operators(path):
        found["503"] = problem_response("no model or snapshot yet, or more load than can be answered")
    return found


def _refusals_of_keys(asked_for: str | None) -> dict[str, Any]:
    found = {} if asked_for is None else {"401": problem_response("no key, or not one of ours")}
    return found | ({"403": problem_response("the key is not of the scope admin")} if asked_for == "admin" else {})


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema and those that it refers to, by name: what a route documents by reference alone."""
    schema = model.model_json_schema(ref_template=COMPONENTS + "{model}")
    return {**schema.pop("$defs", {}), model.__name__: schema}
