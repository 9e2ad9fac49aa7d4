"""Who may ask what: which scope of a key a path asks for, and the refusal of a caller who does not have it.

The gate asks this for each request, and the API's document says of each route what is said here.
"""

from serving.api.keys import ApiKeys, Scope
from serving.problems import Problem

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"})
METRICS_PATH = "/metrics"
ADMIN_PREFIX = "/admin/"

_BEARER = b"bearer "


def scope_asked_for(path: str, *, keys_required: bool) -> Scope | None:
    """The scope that a request of this path needs, None where it needs no key. A route's own path has braces in it."""
    if path.startswith(ADMIN_PREFIX):
        return "admin"
    return "read" if keys_required and path not in HEALTH_PATHS else None


def for_operators(path: str) -> bool:
    """What is asked in order to see or to mend an overload is answered in spite of it."""
    return path in HEALTH_PATHS or path == METRICS_PATH or path.startswith(ADMIN_PREFIX)


def require_key(keys: ApiKeys, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    """Raises a 401 for a caller without one of our keys, a 403 for one whose key is not of the scope admin."""
    caller = keys.caller(_key(headers))
    if caller is None:
        raise Problem(
            401,
            "key-required",
            "give an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
            headers={"www-authenticate": "Bearer"},
        )
    if scope == "admin" and caller.scope != "admin":
        raise Problem(403, "admin-required", "this takes a key of the scope admin")


def _key(headers: list[tuple[bytes, bytes]]) -> str | None:
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin-1")
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].decode("latin-1").strip()
    return None
