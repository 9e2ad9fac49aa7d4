"""What the user of the shell scripts reads, line by line and at once, also where the output is a pipe."""

from __future__ import annotations

import sys


def say(line: str) -> None:
    """One line of progress or result."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """One line about what went wrong."""
    sys.stdout.flush()
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
