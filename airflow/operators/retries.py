"""Which failures of a task another attempt may mend."""

import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from mlops_platform.errors import PlatformError

REFUSED = 1
"""The exit code by which a job of the platform says that another attempt would end the same way."""
_SPARKS_EXIT_CODE = re.compile(r"Error code is: (\d+)")
"""How Spark's operator tells of the exit code."""


class ExitCode(Exception):
    """A job ended with another exit code than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(f"it ended with the exit code {code}; its log above says why")
        self.code = code


class UnlessFinal(RetryPolicy):
    """Tries again what may pass: a Redis that is away comes back, a bad file stays bad until a person mends it."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Mapping[str, Any] | None = None
    ) -> RetryDecision:
        if _is_final(exception):
            return RetryDecision.fail("another attempt would end the same way")
        return RetryDecision.default()


def _is_final(error: BaseException) -> bool:
    if isinstance(error, PlatformError):
        return not error.transient
    if isinstance(error, ExitCode):
        return error.code == REFUSED
    code = _SPARKS_EXIT_CODE.search(str(error))
    return code is not None and int(code.group(1)) == REFUSED
