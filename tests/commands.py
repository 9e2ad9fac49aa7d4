"""Whole commands run by the tests, and what they printed."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

LINES_OF_A_FAILURE = 80


def output_of(
    command: Sequence[str],
    *,
    deadline: float,
    expect: int | None = 0,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command without input. Returns its output, stdout and stderr in order.

    Unless it ends with the expected status (None: any) within the deadline in seconds, the test fails with the end of
    that output, where the reason is.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        output, ended = late.stdout or b"", f"did not end within {deadline:.0f} s"
    else:
        if expect is None or done.returncode == expect:
            return done.stdout.decode()
        output, ended = done.stdout, f"ended with {done.returncode}"
    end = "\n".join(output.decode(errors="replace").splitlines()[-LINES_OF_A_FAILURE:])
    pytest.fail(f"{shlex.join(command)[:200]} {ended}; the end of its output:\n{end}", pytrace=False)
