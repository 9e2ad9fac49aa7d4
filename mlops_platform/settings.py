"""Where the platform's services are and where it keeps its state: one typed class, read from the environment.

Every value is a variable with the prefix ``MLOPS_``. ``.env`` in the project's folder holds what differs from the
defaults (ports that were moved, generated secrets); a variable in the environment overrides it. Settings are built in
entry points and passed down: nothing below an entry point reads the environment.

The bare-Python preflight reads the default ports out of this file's text, so they stay literals here.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from mlops_platform import dotenv
from mlops_platform.errors import PlatformError
from mlops_platform.revision import revision
from mlops_platform.search_path import search_path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
COMPLETE = "MLOPS_ENVIRONMENT_COMPLETE"
"""Set in the environment of services, which holds all that a service is to know: ``.env`` has everybody's secrets."""


def _as_absolute(value: str | Path) -> Path:
    return Path(value).expanduser().resolve()


AbsolutePath = Annotated[Path, BeforeValidator(_as_absolute)]
PathIfAny = Annotated[Path | None, BeforeValidator(lambda value: _as_absolute(value) if value else None)]
Port = Annotated[int, Field(ge=1, le=65535)]
JvmMemory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]


class PlatformSettings(BaseSettings):
    """Addresses, paths and secrets of one installation of the platform."""

    model_config = SettingsConfigDict(env_prefix=dotenv.PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    # docker: the services are containers, seen from the machine they run on; container: seen from one of them.
    mode: Literal["local", "docker", "container"] = "local"
    project_root: AbsolutePath = PROJECT_ROOT
    state_dir: AbsolutePath = PROJECT_ROOT / "var"

    # Folders of use cases outside this project, separated as in PATH; a relative one is meant from the project's.
    use_cases: str = ""

    # The commit of the code, for containers: they cannot ask the checkout. See `git_sha`.
    git_sha_at_start: str | None = None

    bind_address: str = "127.0.0.1"
    # Where people reach what services know by the hosts below; unset means by the same.
    public_host: str | None = None
    airflow_host: str = "127.0.0.1"
    airflow_port: Port = 8080
    serving_host: str = "127.0.0.1"
    serving_port: Port = 8000
    jupyter_port: Port = 8888
    mlflow_host: str = "127.0.0.1"
    mlflow_port: Port = 5001
    spark_master_host: str = "127.0.0.1"
    spark_master_port: Port = 7077
    spark_master_ui_port: Port = 8081
    spark_worker_ui_port: Port = 8082
    metastore_host: str = "127.0.0.1"
    metastore_port: Port = 9083
    hiveserver2_host: str = "127.0.0.1"
    hiveserver2_port: Port = 10000

    spark_workers: Annotated[int, Field(ge=1, le=64)] = 1
    # One job takes `spark_job_cores`; each worker offers three times that, so that a notebook and two jobs run at once.
    spark_job_cores: Annotated[int, Field(ge=1)] = min(os.cpu_count() or 1, 4)
    spark_driver_memory: JvmMemory = "1g"
    spark_executor_memory: JvmMemory = "1g"
    spark_worker_memory: JvmMemory = "3g"
    spark_daemon_memory: JvmMemory = "256m"
    # What master, workers and drivers know each other by. Unset: only a local[…] master can be used.
    spark_auth_secret: SecretStr | None = None
    metastore_memory: JvmMemory = "512m"
    hiveserver2_memory: JvmMemory = "1g"

    # A Redis that lookups are answered from, as redis://[user:password@]host:port/database; unset means from the
    # embedded file in the lake, which is there in any case.
    online_store_url: SecretStr | None = None

    # Where metadata is kept; unset means SQLite and Derby below the state folder.
    airflow_database_url: SecretStr | None = None
    mlflow_database_url: SecretStr | None = None
    metastore_jdbc_url: str | None = None
    metastore_jdbc_driver: str = "org.apache.derby.jdbc.EmbeddedDriver"
    metastore_jdbc_user: str = "APP"
    metastore_jdbc_password: SecretStr = SecretStr("mine")  # embedded Derby checks none
    # Who starts training runs as containers; unset means that they are child processes.
    training_launcher_url: str | None = None
    training_launcher_token: SecretStr | None = None

    # Runs that ended longer ago are removed from Airflow's database, but never the last ones of a DAG.
    airflow_history_days: Annotated[int, Field(ge=1)] = 90
    snapshots_kept: Annotated[int, Field(ge=2)] = 7
    notification_webhook_url: SecretStr | None = None

    # The use case that SageMaker's path `/invocations` stands for, and a command that names none.
    serving_default_use_case: str = "credit_risk"
    serving_workers: Annotated[int, Field(ge=1, le=64)] = 1
    # Unset: a key is asked for as soon as the service is bound to anything but loopback.
    serving_require_api_key: bool | None = None
    # In a container whose port is published on its machine's loopback alone: who comes through the container's gateway
    # is on that machine, and needs no key, unless keys are required of everyone above.
    serving_keyless_gateway: bool = False
    # Further names that the service may be asked by (the header Host), separated by commas; * takes any. The names of
    # loopback and the service's host above are always taken.
    serving_allowed_hosts: str = ""
    # Files in PEM: with a certificate (its chain after it) and its key the service speaks TLS alone. Absolute paths.
    serving_tls_certificate: PathIfAny = None
    serving_tls_key: PathIfAny = None
    serving_batch_limit: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    # A prediction's record is on disk at most this many seconds after its answer; 0 is before its answer.
    serving_log_bound_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    serving_log_queue: Annotated[int, Field(ge=100)] = 50_000
    serving_log_overflow: Literal["refuse", "drop"] = "refuse"
    serving_log_publish_seconds: Annotated[float, Field(gt=0, le=60)] = 20.0

    airflow_admin_user: str = "admin"
    airflow_admin_password: SecretStr | None = None
    airflow_fernet_key: SecretStr | None = None
    airflow_jwt_secret: SecretStr | None = None
    airflow_api_secret_key: SecretStr | None = None
    jupyter_token: SecretStr | None = None
    # Keys of the prediction service that need no file: one that administers it, and one that reads.
    serving_admin_token: SecretStr | None = None
    serving_read_token: SecretStr | None = None

    @field_validator("serving_log_queue")
    @classmethod
    def _has_room_for_a_batch(cls, queue: int, others: ValidationInfo) -> int:
        """A batch and its shadow are recorded together or refused together."""
        batch = others.data.get("serving_batch_limit", 0)
        if queue < 2 * batch:
            raise ValueError(f"expected at least {2 * batch}, twice MLOPS_SERVING_BATCH_LIMIT")
        return queue

    @property
    def public(self) -> "PlatformSettings":
        """The same with the addresses that people use, for what they read and click."""
        if self.public_host is None:
            return self
        names = [name for name in type(self).model_fields if name.endswith("_host")]
        return self.model_copy(update=dict.fromkeys([*names, "bind_address"], self.public_host))

    @property
    def use_case_folders(self) -> tuple[Path, ...]:
        """The folders that ``MLOPS_USE_CASES`` names."""
        return search_path(self.use_cases, self.project_root)

    @property
    def git_sha(self) -> str:
        """The commit of the code that runs here, with ``-dirty`` where files differ from it; ``unknown`` without git.

        Where the checkout is visible it is asked each time. In a container it is what ./start.sh found: of mounted code
        that was edited since, it says what that was edited from.
        """
        return self.git_sha_at_start or revision(self.project_root)

    @property
    def lake_root(self) -> Path:
        return self.state_dir / "lake"

    @property
    def airflow_url(self) -> str:
        return f"http://{self.airflow_host}:{self.airflow_port}"

    @property
    def serving_url(self) -> str:
        scheme = "http" if self.serving_tls_certificate is None else "https"
        return f"{scheme}://{self.serving_host}:{self.serving_port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://{self.mlflow_host}:{self.mlflow_port}"

    @property
    def spark_master_url(self) -> str:
        return f"spark://{self.spark_master_host}:{self.spark_master_port}"

    @property
    def metastore_uri(self) -> str:
        return f"thrift://{self.metastore_host}:{self.metastore_port}"


_FIELDS = {f"{dotenv.PREFIX}{field.upper()}": field for field in PlatformSettings.model_fields}


def load_settings(env_file: Path | None = PROJECT_ROOT / ".env") -> PlatformSettings:
    """The settings of this installation; those of a service, from its environment alone.

    Raises:
        PlatformError: a variable has a value that its setting does not take; names the variable and what it takes. Or
            the file has a line that is not understood.
    """
    try:
        written = {} if env_file is None or COMPLETE in os.environ else dotenv.read(env_file)
        given = dotenv.overridden(written, os.environ)
        values: dict[str, Any] = {field: given[name] for name, field in _FIELDS.items() if name in given}
        return PlatformSettings(**values)
    except dotenv.EnvFileError as error:
        raise PlatformError(str(error), remedy="correct it; .env.example shows how lines are written") from None
    except OSError as error:
        raise PlatformError(
            f"{env_file} cannot be read ({error.strerror})", remedy="let it belong to who runs this"
        ) from None
    except ValidationError as error:
        findings = "; ".join(
            f"MLOPS_{str(part['loc'][0]).upper()}: {part['msg']} (found {part['input']!r})" for part in error.errors()
        )
        raise PlatformError(f"settings: {findings}", remedy=f"correct it in {env_file} or in the environment") from None
