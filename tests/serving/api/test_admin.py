"""Administration takes what its document says, and nothing near it."""

from typing import Any

import httpx
import pytest

ADMIN = {"authorization": "Bearer an admin token"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"challenger_share": 0, "shadow": False}, 200),
        ({"challenger_share": "0.5"}, 422),
        ({"challenger_share": True}, 422),
        ({"challenger_share": 0.5, "shadow": 1}, 422),
        ({"challenger_share": 0.5, "shadow": "yes"}, 422),
        ({"challenger_share": 1.1}, 422),
    ],
)
def test_routing_is_what_it_is_documented_to_be(asked: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert asked.put("/admin/credit_risk/routing", json=body, headers=ADMIN).status_code == status
