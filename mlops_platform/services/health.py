"""What the watcher saw: one small file below the state folder, for everybody who wants to know how the platform is.

Under Compose the folder is this machine's, so the file is read with every container down.
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_platform.errors import PlatformError
from mlops_platform.files import write_text
from mlops_platform.settings import PlatformSettings

FORMAT: Literal[1] = 1
AWAY_AFTER = dt.timedelta(seconds=30)
"""How old the file may be; the watcher writes it every few seconds."""
LASTING_SECONDS = 60.0
"""For how long nothing moves before it is said: every task waits a moment, and the watcher mends before this."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class RunStatus:
    """The last run of a DAG. ``state`` is Airflow's; ``note`` is what the run left to read."""

    dag_id: str
    run_id: str
    state: str
    started: dt.datetime | None
    note: str | None


@dataclass(frozen=True)
class UseCaseStatus:
    """One use case: its latest dataset, published snapshot, champion and last runs. None where there is none, or where
    the service that knows is down."""

    name: str
    dataset: int | None
    snapshot: str | None
    rows: int | None
    entities: int | None
    published_at: dt.datetime | None
    champion: str | None
    runs: tuple[RunStatus, ...]
    not_compiled: str | None = None
    """Why scikit-learn runs the champion, slower than a compiled form; None where it has one."""


class ServiceHealth(_Record):
    """One service. ``usable`` is its probe's answer, ``seconds`` for how long it has been watched to be so."""

    name: str
    usable: bool
    seconds: float
    was_usable: bool
    """Whether it was seen usable at all: what was not may still be in its first start."""


class Standstill(_Record):
    """Something in Airflow that should go on by itself and does not, for as many seconds as it has been watched."""

    subject: str
    what: str
    seconds: float


class Repair(_Record):
    """A service that the watcher had started anew."""

    at: dt.datetime
    service: str
    why: str


class HealthReport(_Record):
    """The whole platform at one moment; use cases as they were last asked for, at most a minute before."""

    format: Literal[1] = FORMAT
    at: dt.datetime
    services: tuple[ServiceHealth, ...] = ()
    standstills: tuple[Standstill, ...] = ()
    repairs: tuple[Repair, ...] = ()
    """The latest, the oldest first."""
    use_cases: tuple[UseCaseStatus, ...] = ()

    def watcher_is_away(self, now: dt.datetime) -> bool:
        """Whether the report is so old that nobody writes it any more."""
        return now - self.at > AWAY_AFTER

    @property
    def lasting_standstills(self) -> tuple[Standstill, ...]:
        """What should have been mended by now, and was not."""
        return tuple(one for one in self.standstills if one.seconds > LASTING_SECONDS)

    def usable(self, service: str) -> bool:
        """What was last seen of a service; one that is not watched is not usable."""
        return any(one.usable for one in self.services if one.name == service)


def watch_folder(settings: PlatformSettings) -> Path:
    """What the watcher shares with those who read the report, and with the services that it tells to end."""
    return settings.state_dir / "watch"


def restart_request(settings: PlatformSettings, service: str) -> Path:
    """The file by which a service in a container is told to end (usable.sh): each new content is one request."""
    return watch_folder(settings) / "restart" / service


def write_report(settings: PlatformSettings, report: HealthReport) -> None:
    """Put the report in the place of the one before, in one step."""
    write_text(_report_file(settings), report.model_dump_json(indent=1) + "\n")


def read_report(settings: PlatformSettings) -> HealthReport | None:
    """The latest report; None where there never was one.

    Raises:
        PlatformError: it is of another version of the platform, damaged, or cannot be read.
    """
    path = _report_file(settings)
    try:
        return HealthReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        cause = error.strerror if isinstance(error, OSError) else f"it is no report of the format {FORMAT}"
        raise PlatformError(
            f"what the watcher wrote to {path} cannot be read ({cause})",
            remedy="start the platform with ./restart.sh: its watcher writes the file anew",
        ) from None


def _report_file(settings: PlatformSettings) -> Path:
    return watch_folder(settings) / "health.json"
