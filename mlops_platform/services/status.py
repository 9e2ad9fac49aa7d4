"""What runs and what is published, at one look."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mlops_platform.clients.airflow import AirflowClient, DagRun
from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.registry import CHAMPION, ModelRegistry
from mlops_platform.pipelines.names import features_dag, training_dag
from mlops_platform.services.table import is_usable, services
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from mlops_platform.use_case.spec import UseCase

Found = TypeVar("Found")


@dataclass(frozen=True)
class ServiceStatus:
    """Whether one service is usable at this moment."""

    name: str
    usable: bool


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


@dataclass(frozen=True)
class Status:
    """The whole platform."""

    services: tuple[ServiceStatus, ...]
    use_cases: tuple[UseCaseStatus, ...]


def service_states(settings: PlatformSettings) -> tuple[ServiceStatus, ...]:
    """Probe every lasting service, all at once."""
    lasting = [service for service in services(settings) if service.usable is not None]
    with ThreadPoolExecutor(len(lasting)) as pool:
        usable = pool.map(lambda service: is_usable(service, settings), lasting)
        return tuple(ServiceStatus(service.name, found) for service, found in zip(lasting, usable, strict=True))


def platform_status(settings: PlatformSettings) -> Status:
    """Ask every service and the lake. Nothing here raises because something is down."""
    with AirflowClient(settings) as airflow, ModelRegistry(settings.mlflow_url) as registry:
        aliases = _or_none(registry.aliases) or {}
        use_cases = tuple(
            _use_case_status(settings, airflow, use_case, aliases.get(use_case.name, {}).get(CHAMPION))
            for use_case in all_use_cases()
        )
    return Status(service_states(settings), use_cases)


def _use_case_status(
    settings: PlatformSettings, airflow: AirflowClient, use_case: UseCase, champion: str | None
) -> UseCaseStatus:
    lake = Lake(settings.lake_root)
    current = _or_none(lambda: Snapshots(lake, use_case.name).current())
    dataset = _or_none(lambda: Datasets(lake, use_case).latest())
    dags = (features_dag(use_case.name), training_dag(use_case.name))
    runs = [run for dag_id in dags for run in _or_none(partial(airflow.runs, dag_id)) or ()]
    return UseCaseStatus(
        name=use_case.name,
        dataset=dataset.version if dataset else None,
        snapshot=current.snapshot if current else None,
        rows=current.rows if current else None,
        entities=current.entities if current else None,
        published_at=current.created_at if current else None,
        champion=champion,
        runs=tuple(_run_status(run) for run in runs),
    )


def _run_status(run: DagRun) -> RunStatus:
    return RunStatus(run.dag_id, run.run_id, run.state, run.start, run.note)


def _or_none(ask: Callable[[], Found]) -> Found | None:
    try:
        return ask()
    except (PlatformError, OSError):
        return None
