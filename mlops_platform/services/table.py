"""The services of the platform: what launches each, what it waits for, how it is known to be usable."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mlops_platform.services import probes
from mlops_platform.settings import PlatformSettings

API_SERVER, SCHEDULER, WATCHER = "airflow-api-server", "airflow-scheduler", "watcher"

Probe = Callable[[PlatformSettings, datetime], bool]


def _stateless(probe: Callable[[PlatformSettings], bool]) -> Probe:
    return lambda settings, _since: probe(settings)


def _airflow(component: str) -> Probe:
    return lambda settings, since: probes.airflow_component(settings, component, since)


@dataclass(frozen=True)
class Service:
    """One service: a supervised process here, a container under Compose.

    ``command`` is relative to the project's root. ``usable`` is asked until it says so or ``deadline`` seconds have
    passed since the start; None means a step that runs once and is done when it ends well. A step in the background is
    started after everything else, and nothing waits for its end. ``asked_through`` are the services without which
    nobody can tell whether it is usable.
    """

    name: str
    command: tuple[str, ...]
    usable: Probe | None
    depends_on: tuple[str, ...] = ()
    asked_through: tuple[str, ...] = ()
    # Generous: a machine that is busy starts slowly, and what is broken ends long before.
    deadline: int = 600
    in_background: bool = False


def services(settings: PlatformSettings) -> tuple[Service, ...]:
    """Every service of this installation, each after those it depends on."""
    return (
        Service("airflow-init", ("airflow/init.sh",), None),
        Service("mlflow", ("training/registry.sh",), _stateless(probes.mlflow)),
        Service("hive-metastore", ("hive/metastore.sh",), _stateless(probes.metastore)),
        Service("spark-master", ("spark_jobs/master.sh",), _stateless(probes.spark_master)),
        *(_spark_worker(number) for number in range(1, settings.spark_workers + 1)),
        Service(
            "hive-server",
            ("hive/hiveserver2.sh",),
            _stateless(probes.hiveserver2),
            ("hive-metastore",),
            ("hive-metastore",),
        ),
        Service(
            API_SERVER,
            ("airflow/api-server.sh",),
            _stateless(probes.airflow_api_server),
            ("airflow-init",),
        ),
        *(
            Service(f"airflow-{name}", (f"airflow/{name}.sh",), probe, ("airflow-init",), (API_SERVER,))
            for name, probe in (
                ("scheduler", _airflow("scheduler")),
                ("dag-processor", _airflow("dag_processor")),
                ("triggerer", _airflow("triggerer")),
            )
        ),
        Service("serving", ("serving/serve.sh",), _stateless(probes.serving)),
        Service("jupyter", ("notebooks/jupyter.sh",), _stateless(probes.jupyter)),
        # What it expects is in its command: it is started anew where that changes.
        Service(WATCHER, ("stack/watcher.sh", str(settings.spark_workers)), probes.watcher),
        # Takes long the first time, and saves time from then on.
        Service("class-archive", ("spark_jobs/class_archive.sh",), None, in_background=True),
    )


def _spark_worker(number: int) -> Service:
    return Service(
        f"spark-worker-{number}",
        ("spark_jobs/worker.sh", str(number)),
        lambda settings, _since: probes.local_spark_worker(settings, number),
        ("spark-master",),
        ("spark-master",),
    )


def watched_services(settings: PlatformSettings) -> tuple[Service, ...]:
    """What the watcher looks after: every lasting service but itself. Containers of one service are one here."""
    lasting = tuple(one for one in services(settings) if one.usable is not None and one.name != WATCHER)
    if settings.mode == "local":
        return lasting
    workers = replace(_spark_worker(1), name="spark-worker", usable=_stateless(probes.spark_workers))
    return (*(one for one in lasting if not one.name.startswith(workers.name)), workers)


def is_usable(service: Service, settings: PlatformSettings, since: datetime = probes.EPOCH) -> bool:
    """One probe. A service that refuses, breaks off or answers nonsense is not usable.

    Args:
        since: signs of life that are kept in a database count from here on.
    """
    if service.usable is None:
        return False
    try:
        return service.usable(settings, since)
    except Exception:  # whatever a half-started service does to its client means "not yet"
        return False
