"""How ``mlops`` ends, for scripts: a code for each kind of end."""

import os
from enum import IntEnum

from mlops_platform.errors import PlatformError


class ExitCode(IntEnum):
    """What came of a command. One that is interrupted ends with 130, as programs do."""

    DONE = 0
    FAILED = 1
    """It failed, or a verb found what it was asked to look for: a fault, an answer that differs."""
    USAGE = 2
    """The command line cannot be understood."""
    MISSING = 3
    """What it names does not exist: no such use case, id, dataset, snapshot or version."""
    UNAVAILABLE = os.EX_TEMPFAIL
    """A service is away or busy: the same command may go well later."""


def exit_code(error: PlatformError) -> ExitCode:
    """How a command ends that failed with this error."""
    if error.missing:
        return ExitCode.MISSING
    return ExitCode.UNAVAILABLE if error.transient else ExitCode.FAILED
