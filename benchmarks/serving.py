"""How fast the prediction service answers, against a bare uvicorn application, in one interleaved run.

    python -m benchmarks.serving                          36,457 ids, a forest of 100 trees of depth 8
    python -m benchmarks.serving --against feast mlflow   also Feast's and MLflow's servers, on the same rows and model
    python -m benchmarks.serving --ids 36457 5000000      two services, one over a larger store
    python -m benchmarks.serving --workers 1 2            two services, one with more workers

The server has one core and the load generator (wrk, which must be on PATH) another. Each round measures every case
once, so that a disturbance of the machine meets all of them; one during which others used the machine is repeated a few
times, and the least disturbed counts. Printed per case, as medians over the rounds:

``requests_per_second``  those answered with success
``cpu_us``               the server's CPU time per such request, of all its processes
``cores``                CPU seconds per second that the server used; near its number of cores it was the bottleneck
``others``               the same of everything but the server and wrk: a run is worth reading where this is near 0
``rate_ratio``           requests/s to the bare application's under as many connections
``cpu_ratio``            the bare application's CPU time per request to this one's
``p99_ratio``            p99 to the bare application's, both with their core saturated from a few connections on
``errors``               of all rounds: answers other than 2xx, connections refused or broken, timeouts

Several workers get as many cores, the first ones; the load generator keeps the last. On two cores it therefore takes
part of the second worker's core: there, requests/s of two workers are a lower bound of what they gain, and a case that
wrk can hardly feed (``cores`` well below the number of workers) shows wrk's limit. CPU time per request shows whether
the workers get in each other's way, which is what can be seen on two cores; their full gain needs three.

Feast and MLflow are installed by uv, each into an environment of its own, and download some hundred megabytes once.
Feast stands in the table twice: its worker stops after 1000 requests by default, which fails requests under load.
"""

import argparse
import concurrent.futures
import contextlib
import datetime as dt
import itertools
import json
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import MEBIBYTE, Case, Ids, Measured, Server, free_port, measure, memory, running
from benchmarks.results import Figures, against_first, summary, table
from benchmarks.rivals import ENVIRONMENTS, RIVALS, Rival, Subject
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import get_use_case
from tests.serving.installation import fit, keep_model, publish_snapshot, write_model

ROOT = Path(__file__).resolve().parent.parent
BATCH = 100
DISTURBED = 0.2
"""Cores that others use; a measurement during which they used more is repeated."""
FIRST_ID = 5_000_000
USE_CASE = get_use_case("credit_risk")
BARE_NAME = "bare uvicorn"

BARE = """
BODY = b'{"age":31,"years_on_the_job":12,"nb_previous_loans":9,"avg_amount_loans_previous":153.12,"flag_own_car":1}'
START = {"type": "http.response.start", "status": 200, "headers": [
    (b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]}
async def app(scope, receive, send):
    await send(START)
    await send({"type": "http.response.body", "body": BODY})
"""

FEATURES = 'return wrk.format("GET", "/features/" .. id())'
PREDICT = 'return wrk.format("GET", "/predict/" .. id())'
PREDICT_MANY = f"""
  local chosen = {{}}
  for i = 1, {BATCH} do chosen[i] = '"' .. id() .. '"' end
  return wrk.format("POST", "/predict", json, '{{"ids":[' .. table.concat(chosen, ",") .. ']}}')
"""


@dataclass(frozen=True)
class Published:
    """A store, and what publishing it took; memory is what the publisher's grew by."""

    ids: Ids
    seconds: float
    store_mebibytes: float
    publisher_mebibytes: float


@dataclass(frozen=True)
class Service:
    """The prediction service over a store of its own."""

    published: Published
    workers: int
    server: Server

    def cases(self, connections: int) -> list[Case]:
        """Of each kind of request one; where there are several services their ``server`` tells them apart."""

        def case(kind: str, request: str, predictions: int = 1) -> Case:
            return Case(
                f"{kind}{self.server.name}", self.server, connections, self.published.ids, request, "", predictions
            )

        return [
            case("GET /features/{id}", FEATURES),
            case("GET /predict/{id}", PREDICT),
            case(f"POST /predict, {BATCH} ids", PREDICT_MANY, BATCH),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ids", type=int, nargs="+", default=[36_457], help="a service over each number of ids")
    parser.add_argument("--workers", type=int, nargs="+", default=[1], help="a service with each number of workers")
    parser.add_argument("--against", choices=RIVALS, nargs="+", default=[], help="other servers; downloads them")
    parser.add_argument("--environments", type=Path, default=ENVIRONMENTS, help="their folder (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=2, help="how often a disturbed measurement is repeated")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    for program in ("wrk", *(["uv"] if arguments.against else [])):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not on PATH; install it first")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        # one row is predicted faster by one thread, in MLflow's server too
        model = fit(USE_CASE, "random_forest", 1, n_estimators=100, max_depth=8, min_samples_leaf=5, n_jobs=None)
        write_model(root / "model", USE_CASE, model, "random_forest")
        bare = stack.enter_context(bare_application(root))
        services = [
            stack.enter_context(service(root, ids, workers, named(arguments, ids, workers)))
            for ids, workers in itertools.product(arguments.ids, arguments.workers)
        ]
        subject = Subject(USE_CASE, services[0].published.ids, row, model)
        rivals = [
            rival
            for name in arguments.against
            for rival in stack.enter_context(RIVALS[name](subject, arguments.environments, root))
        ]
        found: dict[Case, list[Measured]] = {}
        for turn in range(arguments.rounds):
            for connections in arguments.connections:
                for case in cases(bare, services, rivals, connections):
                    found.setdefault(case, []).append(least_disturbed(case, root, arguments, turn))
        figures: dict[str, list[Figures]] = {
            "requests": summary(found, BARE_NAME),
            "services": [footprint(each) for each in services],
        }
    if len(services) > 1:
        first, *others = services
        figures["to_first"] = [line for each in others for line in against_first(found, first.server, each.server)]
    print("\n\n".join(map(table, figures.values())))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def least_disturbed(case: Case, root: Path, arguments: argparse.Namespace, turn: int) -> Measured:
    """One measurement, repeated while others use the machine."""
    runs: list[Measured] = []
    for attempt in range(1 + arguments.repeats):
        runs.append(measure(case, root, arguments.seconds, seed=turn * (1 + arguments.repeats) + attempt))
        if runs[-1].others <= DISTURBED:
            break
    return min(runs, key=lambda run: run.others)


def cases(bare: Server, services: list[Service], rivals: list[Rival], connections: int) -> list[Case]:
    ids = services[0].published.ids
    return [
        Case(BARE_NAME, bare, connections, ids, 'return wrk.format("GET", "/")'),
        # the same request over all services, then the next request: they are compared with each other
        *itertools.chain.from_iterable(zip(*(each.cases(connections) for each in services), strict=True)),
        *(rival.case(connections, ids) for rival in rivals),
    ]


def named(arguments: argparse.Namespace, ids: int, workers: int) -> str:
    """What tells a service from the others of this run."""
    parts = [f"{ids:,} ids"] if len(arguments.ids) > 1 else []
    parts += [f"{workers} workers"] if len(arguments.workers) > 1 else []
    return "".join(f", {part}" for part in parts)


@contextlib.contextmanager
def bare_application(root: Path) -> Iterator[Server]:
    (root / "bare.py").write_text(BARE)
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(root), "--port", str(port)),
        *("--log-level", "error", "--no-access-log"),
    ]
    with running(BARE_NAME, command, port, "/") as server:
        yield server


@contextlib.contextmanager
def service(root: Path, count: int, workers: int, name: str) -> Iterator[Service]:
    """An installation with that many ids and the forest as champion, served."""
    state, port = root / f"state-{count}-{workers}", free_port()
    settings = PlatformSettings(state_dir=state, serving_port=port, mlflow_port=free_port(), serving_workers=workers)
    # in a process of its own, so that its memory can be told
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        published = processes.submit(publish, settings, count).result()
    keep_model(settings, USE_CASE.name, "1", root / "model", alias="champion")
    variables = {
        "MLOPS_STATE_DIR": str(settings.state_dir),
        "MLOPS_SERVING_PORT": str(settings.serving_port),
        "MLOPS_SERVING_WORKERS": str(settings.serving_workers),
        "MLOPS_MLFLOW_PORT": str(settings.mlflow_port),
        # the publisher of the log works on the server's core: seldom, so that medians over rounds are without it
        "MLOPS_SERVING_LOG_PUBLISH_SECONDS": "60",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "serving"]
    with running(name, command, port, "/readyz", variables=variables, cores=workers) as server:
        yield Service(published, workers, server)


def publish(settings: PlatformSettings, count: int) -> Published:
    """Publish that many rows, as a job does that has them in the order of their ids."""
    ids = Ids(FIRST_ID, count)
    before, started = own_memory("VmRSS"), time.perf_counter()
    rows = (row(number) for number in range(ids.first, ids.first + ids.count))
    manifest = publish_snapshot(settings, USE_CASE, "benchmark", rows)
    return Published(
        ids,
        seconds=time.perf_counter() - started,
        store_mebibytes=(settings.lake_root / manifest.online_path).stat().st_size / MEBIBYTE,
        publisher_mebibytes=own_memory("VmHWM") - before,
    )


def own_memory(name: str) -> float:
    """``VmRSS``, the resident memory of this process, or ``VmHWM``, the most it ever was; MiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) * 1024 / MEBIBYTE


def footprint(each: Service) -> dict[str, float | int | str]:
    """Time, disk and memory of a service after its load, its log's publisher included if that runs just then; MiB."""
    found = memory(each.server.process)
    return {
        "ids": each.published.ids.count,
        "workers": each.workers,
        "publish_s": round(each.published.seconds, 1),
        "store_mib": round(each.published.store_mebibytes),
        "publisher_grew_mib": round(each.published.publisher_mebibytes),
        "server_rss_mib": round(found.resident),
        "server_pss_mib": round(found.proportional),
        "server_anonymous_mib": round(found.anonymous),
    }


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


if __name__ == "__main__":
    sys.exit(main())
