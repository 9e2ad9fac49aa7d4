"""What a start shows while it lasts: how long it has taken, and on a terminal what it waits for."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import time
from mlops_platform import console
console.begin()
with console.waiting(lambda: "mlflow, serving"):
    console.step("Starting the services")
    time.sleep(0.3)
console.say("done")
"""


def test_a_pipe_gets_lines_with_the_time_and_nothing_that_moves(project_root: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=project_root, capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout == "[0:00] Starting the services\ndone\n"


def test_a_terminal_shows_what_is_waited_for_and_is_clean_in_the_end(project_root: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=project_root, stdout=theirs) as program:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how a terminal ends whose other side is closed
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert program.returncode == 0
    assert re.search(rb"[|/\\-] 0:00 mlflow, serving", shown)
    # what stays, once each line that turned was erased
    left = [line.rsplit(b"\x1b[K", 1)[-1] for line in shown.split(b"\r\n")]
    assert left == [b"[0:00] Starting the services", b"done", b""]
