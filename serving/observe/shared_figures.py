"""Where several workers count together. Imports nothing of prometheus_client, which looks for the folder as it loads:
workers are forked, so what the server's own process loads before it has called this stays wrong in all of them.
"""

import os
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable by which prometheus_client learns that several processes count together."""


def share_between_workers(folder: Path) -> None:
    """Have the workers that start from here count together, from nothing; call before any of them starts."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob("*.db"):
        left_over.unlink()
    os.environ[FOLDER_VARIABLE] = str(folder)
