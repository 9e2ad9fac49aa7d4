"""Without HiveServer2; the contract is held against the platform's own in ``tests/e2e``."""

import pytest

from mlops_platform.online_store.hive import HiveStore, HiveUnavailable
from mlops_platform.use_case.spec import UseCase


def test_hive_that_is_down_says_so(credit_risk: UseCase) -> None:
    with pytest.raises(HiveUnavailable, match=r"HiveServer2 at 127\.0\.0\.1:1 did not answer"):
        HiveStore("127.0.0.1", 1, credit_risk).get("5008804")
