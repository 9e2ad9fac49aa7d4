"""How much of its own state the service tells to whom.

Reasons name paths, addresses and versions. Whoever shows a key of the scope admin gets them all; anybody else gets what
a load balancer needs, and a word for each thing that is not well.
"""

from collections.abc import Mapping
from typing import Any

_OF_USE_CASE = {
    "lacking": "incomplete",
    "snapshot_refused": "snapshot-refused",
    "model_refused": "model-refused",
    "challenger_refused": "challenger-refused",
    "routing_refused": "routing-refused",
    "redis_refused": "redis-refused",
    "following_failed": "following-failed",
}


def without_reasons(details: Mapping[str, Any]) -> dict[str, Any]:
    """The whole, as :meth:`serving.runtime.Runtime.readiness` has it, for callers whom nobody knows."""
    failing = {
        "registry-unreachable": not details["registry"]["reachable"],
        "prediction-log-failing": details["prediction_log"]["failure"] is not None,
        "api-keys-unreadable": details["api_keys"]["failure"] is not None,
    }
    return {
        "status": details["status"],
        "problems": [word for word, fails in failing.items() if fails],
        "use_cases": {
            name: {
                "status": found["status"],
                "problems": [word for member, word in _OF_USE_CASE.items() if found[member]],
            }
            for name, found in details["use_cases"].items()
        },
    }
