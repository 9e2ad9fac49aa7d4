"""Feast's feature server and MLflow's model server over the platform's own rows and model.

Each lives in an environment of its own, made by uv with pinned versions: Feast's are in ``feast.txt``, MLflow's are the
project's own. The environments stay in a folder, since they are some hundred megabytes of downloads.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.pipeline import Pipeline

from benchmarks.load import Case, Ids, Server, free_port, running
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.use_case.spec import UseCase

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "local-mlops-platform" / "benchmarks"
LOCK = HERE.parent / "requirements.txt"
ROWS_SENT = 1_000
"""Different rows that MLflow is asked about: it takes features, not ids, and they have to be in wrk's memory."""


@dataclass(frozen=True)
class Subject:
    """The same for every server: what is looked up and what predicts."""

    use_case: UseCase
    ids: Ids
    row: Callable[[int], FeatureRow]
    model: Pipeline

    def rows(self) -> Iterator[FeatureRow]:
        return map(self.row, range(self.ids.first, self.ids.first + self.ids.count))


@dataclass(frozen=True)
class Rival:
    """A server and what it is asked, in Lua."""

    server: Server
    request: str
    before: str = ""

    def case(self, connections: int, ids: Ids) -> Case:
        return Case(self.server.name, self.server, connections, ids, self.request, self.before)


def environment(folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of an environment with these requirements, made on first use."""
    place = folder / name
    python = place / "bin" / "python"
    if not python.exists():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        subprocess.run(["uv", "venv", "--quiet", "--python", version, str(place)], check=True)
    command = ["uv", "pip", "install", "--quiet", "--python", str(python), *requirements]
    subprocess.run(command, check=True)
    return python


@contextlib.contextmanager
def feast(subject: Subject, environments: Path, folder: Path) -> Iterator[list[Rival]]:
    """Feast with its SQLite online store: as it starts by default, and without restarts of its worker."""
    python = environment(environments, "feast", ["-r", str(HERE / "feast.txt")])
    repository = folder / "feast"
    repository.mkdir()
    names = subject.use_case.feature_names
    columns = zip(*((row.entity_id, row.feature_date, *row.features.values()) for row in subject.rows()), strict=True)
    table = pa.table(dict(zip(("id", "event_timestamp", *names), map(list, columns), strict=True)))
    moments = table["event_timestamp"].cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(table.set_column(1, "event_timestamp", moments), repository / "rows.parquet")
    subprocess.run([str(python), str(HERE / "in_feast.py"), str(repository)], check=True, stdout=subprocess.DEVNULL)
    references = json.dumps([f"rows:{name}" for name in names])
    request = (
        'return wrk.format("POST", "/get-online-features", json, '
        f"""'{{"features":{references},"entities":{{"id":["' .. id() .. '"]}}}}')"""
    )
    served = [str(python.with_name("feast")), "--chdir", str(repository), "serve", "--no-access-log"]
    choices = {"Feast": [], "Feast --max-requests 0": ["--max-requests", "0"]}
    with contextlib.ExitStack() as stack:
        rivals = []
        for name, options in choices.items():
            port = free_port()
            command = [*served, "--port", str(port), *options]
            rivals.append(Rival(stack.enter_context(running(name, command, port, "/health")), request))
        yield rivals


@contextlib.contextmanager
def mlflow(subject: Subject, environments: Path, folder: Path) -> Iterator[list[Rival]]:
    """MLflow with the same pipeline, which answers the probabilities of one row of features."""
    python = environment(environments, "mlflow", ["-c", str(LOCK), "mlflow", "scikit-learn"])
    pipeline, model, sent = folder / "pipeline.joblib", folder / "mlflow", folder / "rows.jsonl"
    joblib.dump(subject.model, pipeline)
    names = subject.use_case.feature_names
    subprocess.run([str(python), str(HERE / "in_mlflow.py"), str(pipeline), str(model), *names], check=True)
    step = max(1, subject.ids.count // ROWS_SENT)
    with sent.open("w") as lines:
        for number in range(subject.ids.first, subject.ids.first + subject.ids.count, step):
            values = [None if value is None else float(value) for value in subject.row(number).features.values()]
            lines.write(json.dumps({"dataframe_split": {"columns": names, "data": [values]}}) + "\n")
    before = f'local rows = {{}}; for row in io.lines("{sent}") do rows[#rows + 1] = row end'
    request = 'return wrk.format("POST", "/invocations", json, rows[math.random(#rows)])'
    port = free_port()
    command = [
        *(str(python.with_name("mlflow")), "models", "serve", "--model-uri", str(model), "--port", str(port)),
        *("--env-manager", "local"),
    ]
    # it starts `uvicorn`, whichever comes first
    variables = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    with running("MLflow", command, port, "/ping", variables=variables) as server:
        yield [Rival(server, request, before)]


RIVALS = {"feast": feast, "mlflow": mlflow}
