"""Services started by a real supervisor, in their order, with small programs in their place."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.services.environment import prepare_state
from mlops_platform.services.table import Service
from mlops_platform.settings import PlatformSettings
from stack import __main__ as commands
from stack import startup, supervision
from stack.bare.installation import lock
from stack.startup import start_services, stop_services
from stack.supervision import Supervisor
from tests.processes import wait_until


@pytest.fixture
def settings(tmp_path: Path, project_root: Path) -> PlatformSettings:
    # The launch commands of these services are found here; what they read of the project is not needed.
    root = tmp_path / "project"
    (root / "spark_jobs").mkdir(parents=True)
    (root / "spark_jobs" / "conf").symlink_to(project_root / "spark_jobs" / "conf")
    settings = PlatformSettings(state_dir=tmp_path / "var", project_root=root)
    prepare_state(settings)
    return settings


def script(settings: PlatformSettings, name: str, body: str) -> tuple[str]:
    path = settings.project_root / name
    path.write_text(f"#!/usr/bin/env bash\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return (name,)


class Table:
    """Stands in for the table of services."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def is_(self, *table: Service) -> None:
        self._monkeypatch.setattr(startup, "services", lambda _settings: table)
        self._monkeypatch.setattr(supervision, "services", lambda _settings: table)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, settings: PlatformSettings) -> Iterator[Table]:
    yield Table(monkeypatch)
    stop_services(settings)


def test_services_start_in_order_and_stop(settings: PlatformSettings, table: Table) -> None:
    marker = settings.state_dir / "prepared"
    first = Service("first", script(settings, "first.sh", f"touch '{marker}'"), None)
    second = Service(
        "second",
        script(settings, "second.sh", f"[ -e '{marker}' ] && exec sleep 600"),
        lambda settings, _since: (settings.state_dir / "prepared").exists(),
        ("first",),
    )
    table.is_(first, second)
    supervisor = Supervisor.launched(settings, dict(os.environ))
    lines: list[str] = []
    start_services(settings, supervisor, lines.append)
    assert [line.split()[0] for line in lines] == ["first", "second"]
    assert supervisor.process("second").state == "STARTING"
    assert stop_services(settings) == 2
    assert Supervisor.running(settings) is None


def test_a_service_past_its_deadline_is_named_with_the_end_of_its_log(settings: PlatformSettings, table: Table) -> None:
    command = script(settings, "slow.sh", "echo warming up; exec sleep 600")

    def usable(settings: PlatformSettings, _since: dt.datetime) -> bool:
        wait_until((settings.state_dir / "log" / "slow.log").read_text, "it wrote to its log")
        return False

    table.is_(Service("slow", command, usable, deadline=1))
    with pytest.raises(PlatformError) as raised:
        start_services(settings, Supervisor.launched(settings, dict(os.environ)), lambda _line: None)
    assert str(raised.value) == (
        f"slow is not usable 1 s after its start. The end of {settings.state_dir}/log/slow.log:\n"
        "    warming up. Remedy: mend it and run ./start.sh again"
    )


def test_a_step_that_fails_ends_the_start(settings: PlatformSettings, table: Table) -> None:
    table.is_(Service("step", script(settings, "step.sh", "echo no database; exit 3"), None))
    with pytest.raises(PlatformError, match="step ended with status 3") as raised:
        start_services(settings, Supervisor.launched(settings, dict(os.environ)), lambda _line: None)
    assert "    no database" in raised.value.what


def kill_supervisor(settings: PlatformSettings) -> None:
    process = psutil.Process(Supervisor(settings).pid())
    process.kill()
    wait_until(lambda: not psutil.pid_exists(process.pid), "it is gone", 10)


def test_a_supervisor_that_was_killed_is_started_anew(settings: PlatformSettings, table: Table) -> None:
    command = script(settings, "one.sh", "exec sleep 600")
    table.is_(Service("one", command, lambda _settings, _since: True))
    start_services(settings, Supervisor.launched(settings, dict(os.environ)), lambda _line: None)
    kill_supervisor(settings)
    assert Supervisor.running(settings) is None
    assert stop_services(settings) == 1
    start_services(settings, Supervisor.launched(settings, dict(os.environ)), lambda _line: None)
    assert Supervisor.running(settings) is not None


def revived(monkeypatch: pytest.MonkeyPatch, settings: PlatformSettings, watcher: int) -> int:
    """The exit status of the command that a watcher starts; ``watcher`` is who it was started by."""
    monkeypatch.setattr(commands, "load_settings", lambda: settings)
    return commands.main(["revive", str(watcher)])


def test_after_the_end_of_their_supervisor_services_are_started_anew(
    settings: PlatformSettings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.is_(Service("one", script(settings, "one.sh", "exec sleep 600"), lambda _settings, _since: True))
    supervisor = Supervisor.launched(settings, dict(os.environ))
    start_services(settings, supervisor, lambda _line: None)
    (orphan,) = psutil.Process(supervisor.pid()).children()
    kill_supervisor(settings)
    assert revived(monkeypatch, settings, os.getppid()) == 0
    assert not orphan.is_running()
    new = psutil.Process(wait_until(lambda: Supervisor(settings).process("one").pid, "it runs", 10))
    assert new.ppid() == Supervisor(settings).pid()
    assert revived(monkeypatch, settings, os.getppid()) == 0
    assert new.is_running(), "what runs is left alone"


def test_what_was_stopped_meanwhile_is_not_revived(
    settings: PlatformSettings, table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table.is_(Service("one", script(settings, "one.sh", "exec sleep 600"), lambda _settings, _since: True))
    another = os.getpid()  # a stop has ended the watcher, so that the child has another parent
    assert revived(monkeypatch, settings, another) == 0
    with lock(settings.state_dir):
        assert revived(monkeypatch, settings, os.getppid()) == 1
    assert capsys.readouterr().err.endswith("is under way: wait for it\n")
    assert Supervisor.running(settings) is None


def test_a_start_names_the_service_that_keeps_dying_and_a_later_one_succeeds(
    settings: PlatformSettings, table: Table
) -> None:
    licence = settings.project_root / "licence"
    command = script(settings, "dying.sh", f"[ -e '{licence}' ] || {{ echo no licence; exit 7; }}; exec sleep 600")
    table.is_(Service("dying", command, lambda _settings, _since: licence.exists()))
    supervisor = Supervisor.launched(settings, dict(os.environ))
    with pytest.raises(PlatformError, match="dying ends as often as it is started") as raised:
        start_services(settings, supervisor, lambda _line: None)
    assert "    no licence" in raised.value.what
    assert supervisor.process("dying").state in ("BACKOFF", "STARTING"), "it is started again, start or no start"
    licence.touch()
    start_services(settings, supervisor, lambda _line: None)
    wait_until(lambda: supervisor.process("dying").pid, "it runs", 10)


def test_a_running_supervisor_takes_up_another_table(settings: PlatformSettings, table: Table) -> None:
    command = script(settings, "one.sh", "exec sleep 600")
    worker = [Service(f"worker-{number}", (*command, str(number)), lambda _s, _since: True) for number in range(4)]
    table.is_(worker[0], worker[1])
    supervisor = Supervisor.launched(settings, dict(os.environ))
    start_services(settings, supervisor, lambda _line: None)
    kept, gone = (psutil.Process(supervisor.process(f"worker-{number}").pid) for number in (0, 1))
    assert supervisor.is_up_to_date()
    table.is_(worker[0], worker[2], worker[3])
    assert not supervisor.is_up_to_date()
    for _ in range(2):  # one that was killed on its way is done again
        supervisor.update()
    start_services(settings, supervisor, lambda _line: None)
    assert supervisor.is_up_to_date()
    assert supervisor.process("worker-0").pid == kept.pid
    assert supervisor.process("worker-3").pid
    assert not gone.is_running()
