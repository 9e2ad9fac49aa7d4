"""Servers on cores of their own, and wrk, which puts load on them: requests/s, CPU time, p99, failures, memory."""

import contextlib
import math
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

LOAD_CORE = (os.cpu_count() or 2) - 1
SECONDS_TO_START = 120
SECONDS_TO_STOP = 30
MEBIBYTE = 2**20

SCRIPT = """
math.randomseed(SEED)
local function id() return FIRST + math.random(0, COUNT - 1) end
local json = {["Content-Type"] = "application/json"}
BEFORE
request = function()
  REQUEST
end
"""


@dataclass(frozen=True)
class Server:
    """A server that runs; ``path`` is what it answers with 200."""

    name: str
    process: int
    port: int
    path: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Ids:
    """The ids of a store are all whole numbers from ``first``; each request draws from all of them."""

    first: int
    count: int


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    ``request`` is Lua that returns a request, where ``id()`` draws an id; ``before`` is Lua that runs once.
    ``predictions`` is how many a request asks for.
    """

    name: str
    server: Server
    connections: int
    ids: Ids
    request: str
    before: str = ""
    predictions: int = 1


@dataclass(frozen=True)
class Measured:
    """``requests_per_second`` are those answered with success.

    ``cores`` and ``others`` are CPU seconds per second: of the server, and of whatever is neither it nor wrk.
    """

    requests_per_second: float
    cpu_microseconds: float
    cores: float
    others: float
    p99_ms: float
    errors: int


@dataclass(frozen=True)
class Memory:
    """Of a server's processes, in MiB. ``resident`` counts a shared page once per process, ``proportional`` once;
    ``anonymous`` is without mapped files, thus without the store."""

    resident: float
    proportional: float
    anonymous: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    path: str,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    cores: int = 1,
) -> Iterator[Server]:
    """Runs a server on the first cores; gives it once it answers, and stops it and all of its processes in the end.

    Raises:
        RuntimeError: it ends, or does not answer within SECONDS_TO_START.
    """
    process = subprocess.Popen(
        ["taskset", "-c", f"0-{cores - 1}", *command],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(name, process.pid, port, path)
    try:
        wait_until_it_answers(server, process)
        yield server
    finally:
        members = tree(process.pid)
        process.terminate()
        try:
            process.wait(timeout=SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for member in members[1:]:  # what it left behind, such as a job in the background
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)


def wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes] | None" = None) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(server.url + server.path).status_code == httpx.codes.OK:
                return
        time.sleep(0.1)
    raise RuntimeError(f"{server.name} does not answer at {server.url}{server.path}")


def measure(case: Case, folder: Path, seconds: int, seed: int) -> Measured:
    """One run of wrk; returns when the server answers again, so that a restart of it does not meet the next case."""
    script = folder / "load.lua"
    values = {"SEED": seed, "FIRST": case.ids.first, "COUNT": case.ids.count}
    text = SCRIPT.replace("BEFORE", case.before).replace("REQUEST", case.request)
    script.write_text(re.sub("|".join(values), lambda found: str(values[found[0]]), text))
    before = _clocks(case.server)
    output = subprocess.run(
        [
            *("taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{case.connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(script), case.server.url),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    elapsed, used, load, whole = (now - then for now, then in zip(_clocks(case.server), before, strict=True))
    wait_until_it_answers(case.server)
    return read_wrk(output, used, cores=used / elapsed, others=(whole - used - load) / elapsed)


def _clocks(server: Server) -> tuple[float, float, float, float]:
    """Seconds now: of the wall, and of CPU by the server, by the load generators that have ended, by the machine."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    machine = Path("/proc/stat").read_text().splitlines()[0].split()
    # all but idle and waiting for a disk; the hypervisor's share counts, guests are in user time already
    ticks = sum(map(int, machine[1:4] + machine[6:9]))
    return (
        time.perf_counter(),
        cpu_seconds(server.process),
        children.ru_utime + children.ru_stime,
        ticks / os.sysconf("SC_CLK_TCK"),
    )


def read_wrk(output: str, used: float, *, cores: float, others: float) -> Measured:
    """What wrk printed; ``used`` are the server's CPU seconds."""
    answered = int(_found(r"(\d+) requests in", output)[0])
    refused = int(_found(r"Non-2xx or 3xx responses: (\d+)", output, "0")[0])
    broken = _found(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output, *"0000")
    value, unit = _found(r"99%\s+([\d.]+)(us|ms|s|m)\b", output)
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", output)[0])
    return Measured(
        requests_per_second=rate * (answered - refused) / answered if answered else 0.0,
        cpu_microseconds=used / (answered - refused) * 1e6 if answered > refused else math.nan,
        cores=cores,
        others=others,
        p99_ms=float(value) * {"us": 0.001, "ms": 1, "s": 1_000, "m": 60_000}[unit],
        errors=refused + sum(map(int, broken)),
    )


def _found(pattern: str, output: str, *otherwise: str) -> tuple[str, ...]:
    match = re.search(pattern, output)
    if match is None and not otherwise:
        raise RuntimeError(f"wrk printed no {pattern!r}:\n{output}")
    return otherwise if match is None else match.groups()


def cpu_seconds(process: int) -> float:
    """User and system time of a process, its descendants, and those of them that have ended."""
    ticks = 0
    for member in tree(process):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> Memory:
    kibibytes = {"Rss": 0, "Pss": 0, "Anonymous": 0}
    for member in tree(process):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        for line in lines:
            name, value = line.split()[:2]
            if name[:-1] in kibibytes:
                kibibytes[name[:-1]] += int(value)
    return Memory(*(value * 1024 / MEBIBYTE for value in kibibytes.values()))


def tree(process: int) -> list[int]:
    """A process and all that descend from it."""
    members, waiting = [], [process]
    while waiting:
        current = waiting.pop()
        members.append(current)
        for children in Path(f"/proc/{current}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                waiting += map(int, children.read_text().split())
    return members
