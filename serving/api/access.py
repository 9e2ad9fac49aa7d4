"""Who may ask what: which scope of a key a path asks for, and the refusal of a caller who does not have it.

The gate asks this for each request, and the API's document says of each route what is said here.
"""

from collections.abc import Iterator, Sequence

from serving.api.keys import ApiKeys, Caller, Scope
from serving.problems import Problem

HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready"})
METRICS_PATH = "/metrics"
ADMIN_PREFIX = "/admin/"

Headers = Sequence[tuple[bytes, bytes]]

_BEARER = b"bearer "


def scope_asked_for(path: str, *, keys_required: bool) -> Scope | None:
    """The scope that a request of this path needs, None where it needs no key. A route's own path has braces in it."""
    if path.startswith(ADMIN_PREFIX):
        return "admin"
    return "read" if keys_required and path not in HEALTH_PATHS else None


def for_operators(path: str) -> bool:
    """What is asked in order to see or to mend an overload is answered in spite of it."""
    return path in HEALTH_PATHS or path == METRICS_PATH or path.startswith(ADMIN_PREFIX)


def identify(keys: ApiKeys, headers: Headers, asked_for: Scope | None) -> Caller | None:
    """Who asks: of several keys that are shown, the one that may do most counts.

    None for a caller without one of our keys, where none is asked for.

    Raises:
        Problem: 401 for a caller without one of our keys, 403 for one whose keys are not of the scope asked for.
    """
    caller = None
    for key in _shown(headers):
        found = keys.caller(key)
        if found is not None and (caller is None or found.scope == "admin"):
            caller = found
    if asked_for is None:
        return caller
    if caller is None:
        raise Problem(
            401,
            "key-required",
            "give an API key as `Authorization: Bearer <key>` or `X-API-Key: <key>`",
            headers={"www-authenticate": "Bearer"},
        )
    if asked_for == "admin" and caller.scope != "admin":
        raise Problem(403, "admin-required", "this takes a key of the scope admin")
    return caller


def _shown(headers: Headers) -> Iterator[bytes]:
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            yield value[len(_BEARER) :].strip()
