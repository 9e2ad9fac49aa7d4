"""What is done in these tests alone, on a process that the test made and an engine that it plays."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.bare.docker import CommandFailed
from stack.chaos.processes import ProcessGone, RunningProcess
from tests.chaos import acts
from tests.chaos.acts import cut_network, full_disk
from tests.processes import wait_until

WRITER = """
import sys, time
from pathlib import Path
while True:
    try:
        Path(sys.argv[1]).write_bytes(b"x")
        state = "written"
    except OSError as error:
        state = f"refused {error.errno}"
    print(state, flush=True)
    time.sleep(0.01)
"""


class OneProcess:
    """Of one service, which has it as long as it runs."""

    def __init__(self, process: RunningProcess) -> None:
        self._process = process

    def services(self) -> tuple[str, ...]:
        return (self._process.service,)

    def of(self, service: str) -> list[RunningProcess]:
        return [self._process] if self.any_runs([self._process]) else []

    def send(self, process: RunningProcess, signum: int) -> None:
        raise AssertionError("no signal is needed")

    def any_runs(self, processes: Collection[RunningProcess]) -> bool:
        pids = [one.pid for one in processes if psutil.pid_exists(one.pid)]
        return any(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)

    def is_usable(self, service: str, since: object) -> bool:
        return True


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", WRITER, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def says(writer: "subprocess.Popen[str]", wanted: str) -> bool:
    assert writer.stdout is not None
    wait_until(lambda: writer.stdout.readline() == f"{wanted}\n", f"it says {wanted}", 10)  # type: ignore[union-attr]
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_a_full_disk_takes_nothing_and_has_room_again(
    writer: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert says(writer, "written")
    lasted = []

    def during(seconds: float) -> None:
        assert says(writer, "refused 27")
        lasted.append(seconds)

    monkeypatch.setattr(acts, "sleep", during)
    process = RunningProcess("serving", writer.pid, 1.0, True, "writer")
    full_disk(OneProcess(process), process, 7.5)
    assert lasted == [7.5]
    assert says(writer, "written")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")
def test_a_process_that_is_gone_has_no_disk(writer: "subprocess.Popen[str]") -> None:
    process = RunningProcess("serving", writer.pid, 1.0, True, "writer")
    writer.kill()
    writer.wait()
    with pytest.raises(ProcessGone):
        full_disk(OneProcess(process), process, 7.5)


def test_a_container_that_was_cut_off_gets_its_networks_and_names_back(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def docker(*arguments: str, **_: Any) -> str:
        done.append(" ".join(arguments))
        if arguments[:2] == ("network", "disconnect") and arguments[2] == "p_spark":
            raise CommandFailed("the engine is busy", remedy="")
        return json.dumps({"p_platform": {"Aliases": ["serving", "ab12"]}, "p_spark": {"Aliases": None}})

    monkeypatch.setattr(acts, "docker", docker)
    process = RunningProcess("serving", psutil.Process().pid, 1.0, True, "python -m serving", "c1")
    with pytest.raises(CommandFailed):
        cut_network(OneProcess(process), process, 5)
    assert done[1:] == [
        "network disconnect p_platform c1",
        "network disconnect p_spark c1",
        "network connect --alias serving --alias ab12 p_platform c1",
        "network connect p_spark c1",
    ]
