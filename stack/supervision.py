"""The supervisor: one supervisord per installation, spoken to over a socket of its own; no port.

supervisord is told to start each service when its dependencies are usable, restarts what dies, and keeps the logs.
"""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport, UnixStreamHTTPConnection

from mlops_platform.errors import PlatformError
from mlops_platform.files import write_text
from mlops_platform.services.environment import withheld
from mlops_platform.services.table import Service, services
from mlops_platform.settings import PlatformSettings
from stack.bare.installation import MARK, is_running, socket_path
from stack.logs import SUPERVISOR, log_file

STOP_SECONDS = 20
# supervisord has no word for it. After n tries n²/2 s have passed, so that this many are 30,000 years.
_FOR_EVER = 1_000_000

_HEADER = """\
[supervisord]
logfile={log}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord.pid
childlogdir={log}
directory={root}
umask=077
identifier=mlops-platform

[unix_http_server]
file={socket}
chmod=0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{socket}
"""

_PROGRAM = """
[program:{name}]
command={command}
directory={root}
autostart=false
autorestart={autorestart}
startsecs={start_seconds}
startretries={start_retries}
stopasgroup=true
killasgroup=true
stopwaitsecs={stop_seconds}
redirect_stderr=true
stdout_logfile={log_file}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def run_folder(settings: PlatformSettings) -> Path:
    return settings.state_dir / "run"


def render_configuration(settings: PlatformSettings) -> str:
    """supervisord's configuration. Holds no secret: services inherit the environment."""
    header = _HEADER.format(
        log=_escaped(settings.state_dir / "log"),
        run=_escaped(run_folder(settings)),
        root=_escaped(settings.project_root),
        socket=_escaped(socket_path(settings.state_dir)),
    )
    return header + "".join(_program(settings, service) for service in services(settings))


def _program(settings: PlatformSettings, service: Service) -> str:
    script, *arguments = service.command
    return _PROGRAM.format(
        name=service.name,
        command=_escaped(" ".join([*_without_secrets(service), f'"{settings.project_root / script}"', *arguments])),
        root=_escaped(settings.project_root),
        autorestart="false" if service.usable is None else "true",
        # One that ends sooner than this is started again after a pause, which grows by a second each time.
        start_seconds=0 if service.usable is None else 10,
        start_retries=_FOR_EVER,
        stop_seconds=STOP_SECONDS,
        log_file=_escaped(log_file(settings, service.name)),
    )


def _without_secrets(service: Service) -> list[str]:
    """Before a command: what takes the secrets of others out of the supervisor's environment."""
    return ["/usr/bin/env", *(word for name in withheld(service.name) for word in ("-u", name))]


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _configuration_file(settings: PlatformSettings) -> Path:
    return run_folder(settings) / "supervisord.conf"


@dataclass(frozen=True)
class ServiceProcess:
    """A service as supervisord has it: the state by its name (STARTING, RUNNING, BACKOFF, EXITED, ...), when it was
    started last (seconds since 1970, 0 before), how it ended last, and its process, if it has one now."""

    state: str
    started: int
    exit_status: int
    pid: int | None


def _service_process(info: Any) -> ServiceProcess:
    return ServiceProcess(str(info["statename"]), int(info["start"]), int(info["exitstatus"]), info["pid"] or None)


class _Connection(UnixStreamHTTPConnection):  # type: ignore[misc]
    """supervisor's own one waits for ever."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(SupervisorTransport):  # type: ignore[misc]
    """Calls over the socket of an installation's supervisord."""

    def __init__(self, state: Path, patience: float) -> None:
        path = socket_path(state)
        super().__init__(serverurl=f"unix://{path}")
        self._get_connection = lambda: _Connection(path, patience)


class Supervisor:
    """The running supervisord of one installation.

    Its methods raise OSError where it does not answer, and Fault where it refuses.

    Args:
        patience: seconds for an answer. By default longer than a service may take to stop.
    """

    def __init__(self, settings: PlatformSettings, *, patience: float = 3 * STOP_SECONDS) -> None:
        self._settings = settings
        transport = _Transport(settings.state_dir, patience)
        self._rpc = ServerProxy("http://127.0.0.1", transport=transport)

    @classmethod
    def running(cls, settings: PlatformSettings) -> "Supervisor | None":
        """The supervisord that answers on this installation's socket; None where none does."""
        return cls(settings) if is_running(settings.state_dir) else None

    @classmethod
    def launched(cls, settings: PlatformSettings, environment: dict[str, str]) -> "Supervisor":
        """Starts supervisord, with no service yet.

        Raises:
            PlatformError: it did not come up; says where its log is.
        """
        configuration = _configuration_file(settings)
        write_text(configuration, render_configuration(settings))
        socket_path(settings.state_dir).unlink(missing_ok=True)
        finished = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
            env={**environment, MARK: str(settings.state_dir)},
            cwd=settings.project_root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # The parent of the daemon ends only after the socket is open.
        supervisor = cls.running(settings) if finished.returncode == 0 else None
        if supervisor is None:
            raise PlatformError(
                f"supervisord did not start: {finished.stderr.strip() or finished.stdout.strip()}",
                remedy=f"see {log_file(settings, SUPERVISOR)}",
            )
        return supervisor

    def is_up_to_date(self) -> bool:
        """Whether supervisord knows the services of these settings, as they are to be run."""
        known = self.processes().keys()
        rendered = _configuration_file(self._settings).read_text(encoding="utf-8")
        wanted = {service.name for service in services(self._settings)}
        return known == wanted and rendered == render_configuration(self._settings)

    def update(self) -> None:
        """Makes supervisord run the services of these settings: those it has too many, or otherwise, are stopped."""
        write_text(_configuration_file(self._settings), render_configuration(self._settings))
        ((added, changed, removed),) = cast(list[list[list[str]]], self._rpc.supervisor.reloadConfig())
        for name in [*changed, *removed]:
            self._rpc.supervisor.stopProcessGroup(name)
            self._rpc.supervisor.removeProcessGroup(name)
        for name in [*added, *changed]:
            self._rpc.supervisor.addProcessGroup(name)

    def start(self, service: str) -> None:
        """Starts a service unless it runs, at once also where it would be started again after a pause."""
        if self.process(service).state == "BACKOFF":
            self._rpc.supervisor.stopProcess(service)
        try:
            self._rpc.supervisor.startProcess(service, False)
        except Fault as fault:
            if fault.faultCode != Faults.ALREADY_STARTED:
                raise

    def process(self, service: str) -> ServiceProcess:
        return _service_process(self._rpc.supervisor.getProcessInfo(service))

    def processes(self) -> dict[str, ServiceProcess]:
        """Every service that supervisord knows, by its name."""
        infos = cast(list[dict[str, Any]], self._rpc.supervisor.getAllProcessInfo())
        return {info["name"]: _service_process(info) for info in infos}

    def pid(self) -> int:
        """Its own process."""
        return cast(int, self._rpc.supervisor.getPID())

    def shutdown(self) -> None:
        """Asks every service to stop, all at once, and supervisord to end after them."""
        self._rpc.supervisor.stopAllProcesses(False)
        self._rpc.supervisor.shutdown()


def marked_processes(settings: PlatformSettings) -> list[psutil.Process]:
    """The processes of this installation, also those whose supervisord is gone; never this one or its parents."""
    own_line = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own_line and _mark(process) == str(settings.state_dir)
    ]


def _mark(process: psutil.Process) -> str | None:
    return _variable(process, MARK)


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        value: str | None = process.environ().get(name)
    except (psutil.Error, OSError):  # another user's, or gone meanwhile
        return None
    return value


def leftovers(settings: PlatformSettings, current: Mapping[str, ServiceProcess]) -> list[psutil.Process]:
    """What a service left behind that was killed and started again: processes of it that are older than it is now."""
    found = []
    for process in marked_processes(settings):
        service = current.get(_variable(process, "SUPERVISOR_PROCESS_NAME") or "")
        with contextlib.suppress(psutil.Error):
            if service is not None and service.pid is not None:
                leader = psutil.Process(service.pid)
                if process.pid != service.pid and process.create_time() < leader.create_time():
                    found.append(process)
    return found
