"""The shell scripts, run in a copy of what they need before there is an environment."""

import os
import subprocess
from pathlib import Path

SCRIPTS = ("start.sh", "stop.sh", "restart.sh", "reset.sh", "environment.sh")


def run(checkout: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "PYTHON"))}
    return subprocess.run(
        command,
        cwd=checkout,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
