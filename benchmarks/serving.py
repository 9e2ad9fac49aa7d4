"""How fast the prediction service answers, against a bare uvicorn application, in one interleaved run.

    python -m benchmarks.serving                       36,457 ids, a forest of 100 trees of depth 8
    python -m benchmarks.serving --ids 5000000         the same over a larger store

The server has one core and the load generator (wrk, which must be on PATH) another. Each round measures every case
once, so that a disturbance of the machine meets all of them. Printed per case: requests/s, the server's CPU time per
request, p99, and the ratio of CPU times and of requests/s to the bare application under as many connections.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_cases import get_use_case
from tests.serving.installation import fit, keep_model, publish_snapshot, write_model

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, LOAD_CORE = 0, 1
BATCH = 100
USE_CASE = "credit_risk"

BARE = """
BODY = b'{"age":31,"years_on_the_job":12,"nb_previous_loans":9,"avg_amount_loans_previous":153.12,"flag_own_car":1}'
START = {"type": "http.response.start", "status": 200, "headers": [
    (b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]}
async def app(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": BODY})
"""

SCRIPT = """
local ids = {}
for id in io.lines("IDS") do ids[#ids + 1] = id end
math.randomseed(SEED)
request = function()
  BODY
end
"""
GET = 'return wrk.format("GET", "PATH" .. ids[math.random(#ids)])'
POST = """
  local chosen = {}
  for i = 1, COUNT do chosen[i] = '"' .. ids[math.random(#ids)] .. '"' end
  return wrk.format("POST", "PATH", {["Content-Type"] = "application/json"},
    '{"ids":[' .. table.concat(chosen, ",") .. ']}')
"""


@dataclass(frozen=True)
class Case:
    """One thing to measure; ``per_request`` is how many predictions a request asks for."""

    name: str
    port: int
    request: str
    connections: int
    per_request: int = 1


@dataclass(frozen=True)
class Measured:
    requests_per_second: float
    cpu_microseconds: float
    p99_ms: float
    errors: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, default=36_457)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not on PATH; install it (apt-get install wrk, brew install wrk)")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        settings = prepare(root, arguments.ids)
        (root / "bare.py").write_text(BARE)
        bare, ours = free_port(), settings.serving_port
        uvicorn = (sys.executable, "-m", "uvicorn", "bare:app", "--port", str(bare), "--log-level", "error")
        serving = (sys.executable, "-m", "serving")
        servers = {
            bare: stack.enter_context(running([*uvicorn, "--no-access-log", "--app-dir", str(root)], bare, "/", {})),
            ours: stack.enter_context(running([*serving], ours, "/readyz", environment(settings))),
        }
        cases = [
            case
            for connections in arguments.connections
            for case in (
                Case("bare uvicorn", bare, GET.replace("PATH", "/"), connections),
                Case("GET /features/{id}", ours, GET.replace("PATH", "/features/"), connections),
                Case("GET /predict/{id}", ours, GET.replace("PATH", "/predict/"), connections),
                Case(
                    f"POST /predict, {BATCH} ids",
                    ours,
                    POST.replace("PATH", "/predict").replace("COUNT", str(BATCH)),
                    connections,
                    BATCH,
                ),
            )
        ]
        found: dict[Case, list[Measured]] = {case: [] for case in cases}
        for turn in range(arguments.rounds):
            for case in cases:
                found[case].append(measure(case, servers[case.port], root, arguments.seconds, turn))
        figures = summary(found)
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def prepare(root: Path, count: int) -> PlatformSettings:
    """An installation with that many ids and a forest of 100 trees as champion."""
    use_case = get_use_case(USE_CASE)
    settings = PlatformSettings(state_dir=root / "state", serving_port=free_port(), mlflow_port=free_port())
    ids = range(5_000_000, 5_000_000 + count)
    started = time.perf_counter()
    manifest = publish_snapshot(settings, use_case, "benchmark", (row(number) for number in ids))
    seconds = time.perf_counter() - started
    size = (settings.lake_root / manifest.online_path).stat().st_size
    print(f"published {count:,} ids in {seconds:.1f} s, {size / 2**20:.0f} MiB")
    forest = fit(use_case, "random_forest", 1, n_estimators=100, max_depth=8, min_samples_leaf=5)
    write_model(root / "model", use_case, forest, "random_forest")
    keep_model(settings, use_case.name, "1", root / "model", alias="champion")
    chosen = random.Random(1).sample(ids, min(count, 36_457))
    (root / "ids.txt").write_text("\n".join(map(str, chosen)) + "\n")
    return settings


def row(number: int) -> FeatureRow:
    return FeatureRow(
        entity_id=str(number),
        feature_date=dt.date(2020, 1, 1) + dt.timedelta(days=number % 300),
        features={
            "age": 20 + number % 50,
            "years_on_the_job": None if number % 6 == 0 else number % 30,
            "nb_previous_loans": number % 60,
            "avg_amount_loans_previous": None if number % 60 == 0 else 100 + number * 7919 % 9000 / 77,
            "flag_own_car": number % 2,
        },
    )


def environment(settings: PlatformSettings) -> dict[str, str]:
    return {
        "MLOPS_STATE_DIR": str(settings.state_dir),
        "MLOPS_SERVING_PORT": str(settings.serving_port),
        "MLOPS_MLFLOW_PORT": str(settings.mlflow_port),
        "PYTHONPATH": str(ROOT),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: Sequence[str], port: int, path: str, variables: dict[str, str]) -> Iterator[int]:
    """Runs a server on its core until it answers; gives its process id, and stops it in the end."""
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CORE), *command],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}{path}", process)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


def measure(case: Case, server: int, root: Path, seconds: int, seed: int) -> Measured:
    """One run of wrk."""
    script = root / "load.lua"
    body = case.request
    script.write_text(SCRIPT.replace("IDS", str(root / "ids.txt")).replace("SEED", str(seed + 1)).replace("BODY", body))
    before = cpu_seconds(server)
    output = subprocess.run(
        [
            *("taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(script), f"http://127.0.0.1:{case.port}"),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used = cpu_seconds(server) - before
    requests = int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Measured(
        requests_per_second=rate,
        cpu_microseconds=used / requests * 1e6,
        p99_ms=float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
        errors=int(refused[1]) if refused else 0,
    )


def cpu_seconds(process: int) -> float:
    """User and system time of a process and its children that live."""
    ticks = 0
    waiting = [process]
    while waiting:
        current = waiting.pop()
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
            waiting += [int(child) for child in Path(f"/proc/{current}/task/{current}/children").read_text().split()]
    return ticks / os.sysconf("SC_CLK_TCK")


def summary(found: dict[Case, list[Measured]]) -> list[dict[str, float | int | str]]:
    """Medians over the rounds, and ratios to the bare application under as many connections."""
    medians = {
        case: Measured(
            *(statistics.median(column) for column in zip(*(vars(run).values() for run in runs), strict=True))
        )  # type: ignore[arg-type]
        for case, runs in found.items()
    }
    bare = {case.connections: run for case, run in medians.items() if case.name == "bare uvicorn"}
    return [
        {
            "case": case.name,
            "connections": case.connections,
            "requests_per_second": round(run.requests_per_second),
            "predictions_per_second": round(run.requests_per_second * case.per_request),
            "cpu_us": round(run.cpu_microseconds, 1),
            "p99_ms": round(run.p99_ms, 2),
            "rate_ratio": round(run.requests_per_second / bare[case.connections].requests_per_second, 3),
            "cpu_ratio": round(bare[case.connections].cpu_microseconds / run.cpu_microseconds, 3),
            "p99_ratio": round(run.p99_ms / bare[case.connections].p99_ms, 2),
            "errors": run.errors,
        }
        for case, run in medians.items()
    ]


def table(figures: Sequence[dict[str, float | int | str]]) -> str:
    names = list(figures[0])
    rows = [
        names,
        *([f"{figure[name]:,}" if name != "case" else str(figure[name]) for name in names] for figure in figures),
    ]
    widths = [max(len(line[column]) for line in rows) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in rows)


if __name__ == "__main__":
    sys.exit(main())
