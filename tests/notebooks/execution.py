"""Running a notebook from first cell to last, in the environment that Jupyter gives it."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nbformat

DEADLINE = 600

# the environment of notebooks/jupyter.sh, and nbconvert in the place of JupyterLab
PROGRAM = """
. mlops_platform/stack/environment.sh
export PYSPARK_SUBMIT_ARGS="--properties-file $MLOPS_SPARK_PROPERTIES --name notebook pyspark-shell"
exec python -m jupyter nbconvert --to notebook --execute --stdout "$1"
"""


def execute(path: Path, environment: Mapping[str, str] | None = None) -> nbformat.NotebookNode:
    """Run a notebook of ``<checkout>/notebooks`` against that checkout's platform; the file itself stays as it is.

    Where the platform is comes from the checkout's ``.env`` and from ``MLOPS_*`` of the environment, by default this
    process's. Returns the notebook with its outputs. A cell that fails fails the test with the cell and its traceback.
    """
    done = subprocess.run(
        ["bash", "-euc", PROGRAM, "_", str(path)],
        cwd=path.parent.parent,
        env=dict(os.environ if environment is None else environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{path.name}:\n{done.stderr[-6000:]}"
    return nbformat.reads(done.stdout, as_version=4)
