"""What is published, who is champion, and what ran last; the watcher asks, everybody else reads its report."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mlops_platform.clients.airflow import AirflowClient, DagRun
from mlops_platform.errors import PlatformError
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.registry import CHAMPION, NOT_COMPILED_TAG, ModelRegistry
from mlops_platform.pipelines.names import features_dag, training_dag
from mlops_platform.services.health import RunStatus, UseCaseStatus
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from mlops_platform.use_case.spec import UseCase

Found = TypeVar("Found")


def use_case_statuses(settings: PlatformSettings, airflow: AirflowClient) -> tuple[UseCaseStatus, ...]:
    """Ask the lake, the registry and Airflow about every use case. Nothing here raises because something is down."""
    with ModelRegistry(settings.mlflow_url) as registry:
        aliases = _or_none(registry.aliases) or {}
        return tuple(
            _use_case_status(settings, airflow, registry, use_case, aliases.get(use_case.name, {}).get(CHAMPION))
            for use_case in all_use_cases()
        )


def _use_case_status(
    settings: PlatformSettings, airflow: AirflowClient, registry: ModelRegistry, use_case: UseCase, champion: str | None
) -> UseCaseStatus:
    lake = Lake(settings.lake_root)
    current = _or_none(lambda: Snapshots(lake, use_case.name).current())
    dataset = _or_none(lambda: Datasets(lake, use_case).latest())
    registered = _or_none(lambda: registry.version(use_case.name, champion)) if champion else None
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
        not_compiled=registered.tags.get(NOT_COMPILED_TAG) if registered else None,
    )


def _run_status(run: DagRun) -> RunStatus:
    return RunStatus(run.dag_id, run.run_id, run.state, run.start, run.note)


def _or_none(ask: Callable[[], Found]) -> Found | None:
    try:
        return ask()
    except (PlatformError, OSError):
        return None
