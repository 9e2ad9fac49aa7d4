"""Whether a service is usable: asked the way its clients ask it, not whether its port is open.

Each probe returns True or False for one moment, within ``TIMEOUT`` seconds; waiting is the caller's.
"""

import socket
import struct
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from mlops_platform.services.health import read_report
from mlops_platform.settings import PlatformSettings

TIMEOUT = 5.0
TRAINING_LAUNCHER_PORT = 8090
EPOCH = datetime.fromtimestamp(0, UTC)

_THRIFT_VERSION = 0x80010000
_THRIFT_CALL, _THRIFT_REPLY = 1, 2


def _get(url: str) -> httpx.Response:
    # whose certificate it is does not matter to a probe, and to load what would verify it takes 28 ms of CPU each time
    with httpx.Client(trust_env=False, timeout=TIMEOUT, verify=False) as client:  # noqa: S501
        return client.get(url)


def _get_json(url: str) -> Any:
    return _get(url).raise_for_status().json()


def _answers(url: str) -> bool:
    return _get(url).is_success


def spark_master(settings: PlatformSettings) -> bool:
    """The master is alive and takes applications."""
    return bool(_master_state(settings)["status"] == "ALIVE")


def spark_workers(settings: PlatformSettings) -> bool:
    """As many workers are registered with the master as the settings ask for."""
    return int(_master_state(settings)["aliveworkers"]) >= settings.spark_workers


def local_spark_worker(settings: PlatformSettings, number: int) -> bool:
    """The worker of this number on this machine is registered with the master.

    Its port tells it from the others; where another program had taken that port, the number of workers counts.
    """
    alive = [one for one in _master_state(settings)["workers"] if one["state"] == "ALIVE"]
    port = settings.spark_worker_ui_port + number - 1
    return len(alive) >= settings.spark_workers or any(urlsplit(one["webuiaddress"]).port == port for one in alive)


def spark_worker(settings: PlatformSettings, address: str) -> bool:
    """The worker with this address is registered with the master."""
    return any(one["host"] == address and one["state"] == "ALIVE" for one in _master_state(settings)["workers"])


def _master_state(settings: PlatformSettings) -> Any:
    return _get_json(f"http://{settings.spark_master_host}:{settings.spark_master_ui_port}/json/")


def metastore(settings: PlatformSettings) -> bool:
    """The metastore lists its databases, for which it opens its own database."""
    method = b"get_all_databases"
    call = struct.pack("!Ii", _THRIFT_VERSION | _THRIFT_CALL, len(method)) + method + struct.pack("!ib", 0, 0)
    with socket.create_connection((settings.metastore_host, settings.metastore_port), timeout=TIMEOUT) as connection:
        connection.settimeout(TIMEOUT)
        connection.sendall(call)
        (answer,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):  # a connection that is dropped unread is an error in the metastore's log
            pass
    return bool(answer == _THRIFT_VERSION | _THRIFT_REPLY)


def hiveserver2(settings: PlatformSettings) -> bool:
    """HiveServer2 opens a session and answers a statement that goes to the metastore."""
    socket.create_connection((settings.hiveserver2_host, settings.hiveserver2_port), timeout=TIMEOUT).close()
    from pyhive import hive  # noqa: PLC0415 - an image without PyHive asks other services

    connection = hive.connect(host=settings.hiveserver2_host, port=settings.hiveserver2_port, username="health")
    try:
        cursor = connection.cursor()
        cursor.execute("SHOW DATABASES")
        return bool(cursor.fetchall())
    finally:
        connection.close()


def mlflow(settings: PlatformSettings) -> bool:
    """MLflow answers."""
    return _answers(f"{settings.mlflow_url}/health")


def airflow_api_server(settings: PlatformSettings) -> bool:
    """The API server answers and reaches its database."""
    return bool(_airflow_health(settings)["metadatabase"]["status"] == "healthy")


def airflow_component(settings: PlatformSettings, component: str, since: datetime) -> bool:
    """``component`` (scheduler, dag_processor, triggerer) has given a sign of life after ``since``.

    Airflow calls it healthy for half a minute after its last one, also when that came from the process before.
    """
    found = _airflow_health(settings)[component]
    heartbeat = found[f"latest_{component}_heartbeat"]
    return found["status"] == "healthy" and heartbeat is not None and datetime.fromisoformat(heartbeat) >= since


def _airflow_health(settings: PlatformSettings) -> Any:
    return _get_json(f"{settings.airflow_url}/api/v2/monitor/health")


def serving(settings: PlatformSettings) -> bool:
    """The prediction service answers; whether it has a model is a matter of ``/readyz``."""
    # nothing secret is asked or told, and a certificate that has run out is for people to see
    return _answers(f"{settings.serving_url}/healthz")


def jupyter(settings: PlatformSettings) -> bool:
    """Jupyter answers."""
    return _answers(f"http://{settings.bind_address}:{settings.jupyter_port}/api")


def watcher(settings: PlatformSettings, since: datetime) -> bool:
    """The watcher has looked at everything after ``since``, and not long ago."""
    report = read_report(settings)
    return report is not None and report.at >= since and not report.watcher_is_away(datetime.now(UTC))


def training_launcher() -> bool:
    """This container's launcher answers and reaches the engine."""
    return _answers(f"http://127.0.0.1:{TRAINING_LAUNCHER_PORT}/healthz")
