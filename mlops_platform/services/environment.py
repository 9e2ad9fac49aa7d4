"""The environment that every service runs in, derived from the settings: the one place that knows each program's names.

The supervisor starts services with it; in a container each launch command asks for it. Secrets travel in the
environment, never in arguments; but Spark takes its own from its properties, a file that only its owner can read.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from string import Template
from urllib.parse import quote

from pydantic import SecretStr

from mlops_platform.errors import PlatformError
from mlops_platform.services.java import java_home
from mlops_platform.settings import COMPLETE, PlatformSettings

LOOPBACK = "127.0.0.1"

# A short-lived JVM spends its time on loading classes and compiling: a shared class archive, the first compiler alone
# and the serial collector halve it. Without the archive's file the JVM says nothing and goes on without.
JVM_QUICK_START = "-XX:SharedArchiveFile={archive} -Xshare:auto -Xlog:disable -Xlog:all=error:stderr -XX:-UsePerfData"
JVM_SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
# An executor needs the second compiler, for rows by the million, but on few cores it takes them away from the rows: ten
# times the JVM's own thresholds leave it what is hot for more than a moment (benchmarks/features.py).
JVM_EXECUTOR = (
    "-XX:+UseSerialGC -XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)

SECRETS: Mapping[str, tuple[str, ...]] = {
    "airflow_admin_password": ("MLOPS_AIRFLOW_ADMIN_PASSWORD",),
    "airflow_api_secret_key": ("MLOPS_AIRFLOW_API_SECRET_KEY", "AIRFLOW__API__SECRET_KEY"),
    "airflow_database_url": ("MLOPS_AIRFLOW_DATABASE_URL", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"),
    "airflow_fernet_key": ("MLOPS_AIRFLOW_FERNET_KEY", "AIRFLOW__CORE__FERNET_KEY"),
    "airflow_jwt_secret": ("MLOPS_AIRFLOW_JWT_SECRET", "AIRFLOW__API_AUTH__JWT_SECRET"),
    "jupyter_token": ("MLOPS_JUPYTER_TOKEN", "JUPYTER_TOKEN"),
    "metastore_jdbc_password": ("MLOPS_METASTORE_JDBC_PASSWORD",),
    "mlflow_database_url": ("MLOPS_MLFLOW_DATABASE_URL", "MLFLOW_BACKEND_STORE_URI"),
    "notification_webhook_url": ("MLOPS_NOTIFICATION_WEBHOOK_URL",),
    "online_store_url": ("MLOPS_ONLINE_STORE_URL",),
    "serving_admin_token": ("MLOPS_SERVING_ADMIN_TOKEN",),
    "serving_read_token": ("MLOPS_SERVING_READ_TOKEN",),
    "spark_auth_secret": ("MLOPS_SPARK_AUTH_SECRET",),
    "training_launcher_token": ("MLOPS_TRAINING_LAUNCHER_TOKEN",),
}
"""The settings that are secret, and every variable that tells of one."""

_AIRFLOW = ("airflow_database_url", "airflow_fernet_key")
GIVEN: Mapping[str, tuple[str, ...]] = {
    "airflow-init": (*_AIRFLOW, "airflow_admin_password"),
    "airflow-api-server": (*_AIRFLOW, "airflow_jwt_secret", "airflow_api_secret_key"),
    # where tasks run: they note and notify, and publish to the online store
    "airflow-scheduler": (
        *_AIRFLOW,
        "airflow_jwt_secret",
        "airflow_admin_password",
        "notification_webhook_url",
        "online_store_url",
        "spark_auth_secret",
    ),
    # where Airflow tells of failed runs
    "airflow-dag-processor": (*_AIRFLOW, "notification_webhook_url"),
    "airflow-triggerer": _AIRFLOW,
    "hive-metastore": ("metastore_jdbc_password",),
    "jupyter": ("jupyter_token", "serving_read_token", "spark_auth_secret"),
    "mlflow": ("mlflow_database_url",),
    "serving": ("serving_admin_token", "serving_read_token", "online_store_url"),
    "spark-master": ("spark_auth_secret",),
    "spark-worker": ("spark_auth_secret",),
    # asks Airflow what does not move; and has to start everything anew where supervisord is killed
    "watcher": tuple(SECRETS),
    # not services, but what tasks start
    "spark-submit": ("online_store_url",),
    "training": (),
}
"""The secret settings that a process of the local mode is given; docker-compose.yml says it of containers."""


def withheld(service: str) -> tuple[str, ...]:
    """The variables that a service is started without: every secret that it is not given. One of several workers is a
    ``spark-worker``; who is not named in the table gets none."""
    given = GIVEN.get(re.sub(r"-\d+$", "", service), ())
    return tuple(variable for setting, variables in SECRETS.items() if setting not in given for variable in variables)


def state_folders(settings: PlatformSettings) -> tuple[Path, ...]:
    """Every folder below the state folder that services expect to exist."""
    names = ("run", "log", "tmp", "lake", "airflow", "mlflow/artifacts", "jupyter", "spark/work", "spark/local", "cds")
    return tuple(settings.state_dir / name for name in names)


def class_archive(settings: PlatformSettings) -> Path:
    """The shared class archive of this installation's JVMs."""
    return settings.state_dir / "cds" / "spark.jsa"


def spark_properties(settings: PlatformSettings) -> Path:
    """The rendered spark-defaults.conf."""
    return settings.state_dir / "run" / "spark-defaults.conf"


def prepare_state(settings: PlatformSettings) -> None:
    """Makes the state's folders and renders what Spark cannot take from the environment. Safe to repeat."""
    for folder in state_folders(settings):
        folder.mkdir(parents=True, exist_ok=True)
    source = settings.project_root / "spark_jobs/conf/spark-defaults.conf"
    if not source.exists():  # an image without Spark: MLflow's, the service's
        return
    template = Template(source.read_text(encoding="utf-8"))
    options = {"QUICK_START": _quick_start(settings), "SHORT_LIVED": JVM_SHORT_LIVED, "EXECUTOR": JVM_EXECUTOR}
    values = _own_variables(settings) | {f"JVM_{name}": option for name, option in options.items()}
    rendered = template.substitute(values)
    if settings.spark_auth_secret is not None:
        rendered += f"spark.authenticate.secret {settings.spark_auth_secret.get_secret_value()}\n"
    target = spark_properties(settings)
    if not target.exists() or target.read_text(encoding="utf-8") != rendered:
        draft = target.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(rendered, encoding="utf-8")
        draft.replace(target)


def service_environment(settings: PlatformSettings, base: Mapping[str, str]) -> dict[str, str]:
    """``base`` completed with everything that launch commands and their programs read.

    Raises:
        PlatformError: no Java fit for Spark is there.
    """
    bin_folders = [str(settings.project_root / "spark_jobs" / "bin"), str(Path(sys.executable).parent)]
    return {
        **base,
        **_own_variables(settings),
        **_java(settings, base),
        **_spark(settings),
        **_airflow(settings),
        **_mlflow(settings),
        **_jupyter(settings),
        **_no_proxy(settings, base),
        COMPLETE: "1",
        "MLOPS_WITHHELD_FROM_JOBS": " ".join(withheld("spark-submit")),
        "PATH": os.pathsep.join([*bin_folders, base.get("PATH", os.defpath)]),
        # what DAGs share lies beside them, in airflow/operators
        "PYTHONPATH": os.pathsep.join([str(settings.project_root), str(settings.project_root / "airflow")]),
        "PYTHONUNBUFFERED": "1",
        "MPLCONFIGDIR": str(settings.state_dir / "tmp" / "matplotlib"),
        # Airflow renames its processes over their environment block; the block is how stop.sh knows them.
        "SPT_NOENV": "1",
    }


def _no_proxy(settings: PlatformSettings, base: Mapping[str, str]) -> dict[str, str]:
    """The services reach one another directly, also where the machine reaches the rest of the world through a proxy."""
    hosts = {str(getattr(settings, name)) for name in type(settings).model_fields if name.endswith("_host")} - {"None"}
    given = base.get("NO_PROXY") or base.get("no_proxy") or ""
    names = [*filter(None, given.split(",")), *sorted({*hosts, LOOPBACK, "localhost"})]
    return dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(dict.fromkeys(names)))


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def _own_variables(settings: PlatformSettings) -> dict[str, str]:
    given = {
        f"MLOPS_{name.upper()}": _plain(value)
        for name in type(settings).model_fields
        if (value := getattr(settings, name)) is not None
    }
    derby = settings.state_dir / "metastore"
    return {
        "MLOPS_METASTORE_JDBC_URL": f"jdbc:derby:;databaseName={derby};create=true",
        **given,
        "MLOPS_USE_CASES": os.pathsep.join(map(str, settings.use_case_folders)),
        "MLOPS_SPARK_MASTER_URL": settings.spark_master_url,
    }


def _quick_start(settings: PlatformSettings) -> str:
    return JVM_QUICK_START.format(archive=class_archive(settings))


def _java(settings: PlatformSettings, base: Mapping[str, str]) -> dict[str, str]:
    home = java_home(settings.state_dir, base)
    return {} if home is None else {"JAVA_HOME": str(home)}


def require_java(environment: Mapping[str, str]) -> None:
    """Raises PlatformError where the environment names no Java."""
    if "JAVA_HOME" not in environment:
        raise PlatformError(
            "Java: none of version 17 or newer on PATH or in JAVA_HOME, and none was brought",
            remedy="run ./start.sh, which brings one, or install a Java 17 or 21",
        )


def _spark(settings: PlatformSettings) -> dict[str, str]:
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:  # an image without Spark: MLflow's, the service's
        return {}
    root = settings.project_root
    jvm = f"{_quick_start(settings)} {JVM_SHORT_LIVED} -Djava.io.tmpdir={settings.state_dir / 'tmp'}"
    local = settings.bind_address == LOOPBACK
    return {
        "SPARK_HOME": str(Path(spec.origin).parent),
        # Spark puts its configuration folder first on the class path, where any file in it would disable the class
        # archive. So the folder is one that does not exist: the files are at the end of the class path instead, and
        # spark-defaults.conf is passed by name (spark_jobs/bin/spark-submit).
        "SPARK_CONF_DIR": str(settings.state_dir / "run" / "no-spark-conf"),
        "SPARK_DIST_CLASSPATH": f"{root / 'hive/conf'}{os.pathsep}{root / 'spark_jobs/conf'}",
        "HIVE_CONF_DIR": str(root / "hive/conf"),
        "MLOPS_SPARK_PROPERTIES": str(spark_properties(settings)),
        "MLOPS_CLASS_ARCHIVE": str(class_archive(settings)),
        "MLOPS_JVM_OPTIONS": jvm,
        "SPARK_DAEMON_JAVA_OPTS": jvm,
        "SPARK_DAEMON_MEMORY": settings.spark_daemon_memory,
        "SPARK_LAUNCHER_OPTS": f"{JVM_SHORT_LIVED} -XX:-UsePerfData",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": str(root / "spark_jobs/bin/driver-python"),
        **({"SPARK_LOCAL_IP": LOOPBACK, "SPARK_LOCAL_HOSTNAME": LOOPBACK} if local else {}),
    }


def _airflow(settings: PlatformSettings) -> dict[str, str]:
    home = settings.state_dir / "airflow"
    database = settings.airflow_database_url
    secrets = {
        "AIRFLOW__CORE__FERNET_KEY": settings.airflow_fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.airflow_jwt_secret,
        "AIRFLOW__API__SECRET_KEY": settings.airflow_api_secret_key,
    }
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(settings.project_root / "airflow" / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.project_root / "airflow" / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.project_root / "airflow" / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__API__BASE_URL": settings.public.airflow_url,
        "AIRFLOW__API__HOST": settings.bind_address,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _plain(database) if database else f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "dag_bundles"),
        "AIRFLOW__FAB__CONFIG_FILE": str(settings.project_root / "airflow" / "webserver_config.py"),
        **{name: _plain(secret) for name, secret in secrets.items() if secret is not None},
        **_airflow_connections(settings),
    }


def _airflow_connections(settings: PlatformSettings) -> dict[str, str]:
    """The connections DAGs name, as JSON: a URI would lose ``spark://``."""
    connections: dict[str, dict[str, object]] = {
        "spark_default": {
            "conn_type": "spark",
            "host": f"spark://{settings.spark_master_host}",
            "port": settings.spark_master_port,
            "extra": {"deploy-mode": "client", "spark-binary": "spark-submit"},
        },
        "hiveserver2_default": {
            "conn_type": "hiveserver2",
            "host": settings.hiveserver2_host,
            "port": settings.hiveserver2_port,
            "login": "airflow",
            "schema": "default",
        },
        "metastore_default": {
            "conn_type": "hive_metastore",
            "host": settings.metastore_host,
            "port": settings.metastore_port,
            "extra": {"auth_mechanism": "NOSASL"},
        },
        "mlflow_default": {
            "conn_type": "http",
            "host": f"http://{quote(settings.mlflow_host)}",
            "port": settings.mlflow_port,
        },
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()}


def _mlflow(settings: PlatformSettings) -> dict[str, str]:
    database = settings.mlflow_database_url
    hosts = {settings.mlflow_host, "localhost", LOOPBACK}
    return {
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "MLFLOW_BACKEND_STORE_URI": (
            _plain(database) if database else f"sqlite:///{settings.state_dir / 'mlflow' / 'mlflow.db'}"
        ),
        "MLFLOW_ARTIFACTS_DESTINATION": (settings.state_dir / "mlflow" / "artifacts").as_uri(),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(
            sorted({*hosts, *(f"{host}:{settings.mlflow_port}" for host in hosts)})
        ),
        # Eight processes and 2 GB for the evaluation of language models.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _jupyter(settings: PlatformSettings) -> dict[str, str]:
    home = settings.state_dir / "jupyter"
    token = settings.jupyter_token
    return {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        **({"JUPYTER_TOKEN": _plain(token)} if token is not None else {}),
    }
