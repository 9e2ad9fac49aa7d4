"""Programs of this folder that need Airflow, each run in a process and an Airflow home of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def report_of(program: str, folder: Path, *use_cases: Path) -> dict[str, Any]:
    """What a program of this folder, given the DAGs, writes as JSON. ``use_cases`` are further folders of them."""
    written = folder / "report.json"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MLOPS_"))}
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name(program), PROJECT_ROOT / "airflow" / "dags", written],
        cwd=folder,
        env={
            **kept,
            "PYTHONPATH": os.pathsep.join([str(PROJECT_ROOT), str(PROJECT_ROOT / "airflow")]),
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "MLOPS_STATE_DIR": str(folder / "var"),
            "MLOPS_USE_CASES": os.pathsep.join(map(str, [PROJECT_ROOT / "tests" / "use_cases", *use_cases])),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-10_000:]
    content: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return content
