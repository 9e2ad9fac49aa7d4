"""The table of services, the supervisor's configuration, and the environment that launch commands get."""

import json
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr
from supervisor.options import ServerOptions

from mlops_platform.services.environment import prepare_state, service_environment, spark_properties, withheld
from mlops_platform.services.table import is_usable, services
from mlops_platform.settings import PlatformSettings
from stack.startup import stop_services
from stack.supervision import Supervisor, render_configuration


@pytest.fixture
def settings(tmp_path: Path, project_root: Path) -> PlatformSettings:
    return PlatformSettings(
        state_dir=tmp_path / "var", project_root=project_root, spark_workers=2, jupyter_token=SecretStr("a-token")
    )


def test_every_service_comes_after_those_it_depends_on(settings: PlatformSettings) -> None:
    table = services(settings)
    names = [service.name for service in table]
    assert len(set(names)) == len(names)
    for position, service in enumerate(table):
        assert set(service.depends_on) <= set(names[:position])


def test_every_launch_command_is_an_executable_script_that_becomes_its_process(settings: PlatformSettings) -> None:
    for service in services(settings):
        script = settings.project_root / service.command[0]
        assert os.access(script, os.X_OK), script
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
        if service.usable is not None:
            last_command = script.read_text(encoding="utf-8").split("\nexec ")
            assert len(last_command) == 2, f"{script} does not exec its process"


def test_the_supervisors_configuration_is_one_it_takes(settings: PlatformSettings) -> None:
    prepare_state(settings)
    configuration = settings.state_dir / "run" / "supervisord.conf"
    configuration.write_text(render_configuration(settings), encoding="utf-8")
    options = ServerOptions()
    options.realize(["-c", str(configuration)])
    programs = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert set(programs) == {service.name for service in services(settings)}
    worker = programs["spark-worker-2"]
    assert shlex.split(worker.command)[-2:] == [str(settings.project_root / "spark_jobs/worker.sh"), "2"]
    assert worker.stdout_logfile == str(settings.state_dir / "log" / "spark-worker-2.log")
    assert worker.startretries == 1_000_000, "for ever: each of them waits a second longer than the one before"
    assert (worker.stopasgroup, worker.killasgroup, worker.autostart) == (True, True, False)


def test_no_secret_is_rendered(settings: PlatformSettings) -> None:
    prepare_state(settings)
    assert "a-token" not in render_configuration(settings)
    assert "a-token" not in spark_properties(settings).read_text(encoding="utf-8")


def test_sparks_secret_is_in_a_file_of_its_owner_alone(settings: PlatformSettings) -> None:
    prepare_state(settings)
    text = spark_properties(settings).read_text(encoding="utf-8")
    assert re.findall(r"^spark\.authenticate.*", text, re.MULTILINE) == [
        "spark.authenticate                       true"
    ]
    known = settings.model_copy(update={"spark_auth_secret": SecretStr("the-secret")})
    prepare_state(known)
    assert spark_properties(settings).read_text(encoding="utf-8") == f"{text}spark.authenticate.secret the-secret\n"
    assert stat.S_IMODE(spark_properties(settings).stat().st_mode) == 0o600
    for daemon in ("master", "worker"):
        script = (settings.project_root / f"spark_jobs/{daemon}.sh").read_text(encoding="utf-8")
        assert '--properties-file "$MLOPS_SPARK_PROPERTIES"' in script


def secret_settings() -> set[str]:
    return {name for name, field in PlatformSettings.model_fields.items() if "SecretStr" in str(field.annotation)}


SECRETS_OF = {
    "airflow-init": {"airflow_database_url", "airflow_fernet_key", "airflow_admin_password"},
    "airflow-api-server": {
        "airflow_database_url", "airflow_fernet_key", "airflow_jwt_secret", "airflow_api_secret_key",
    },
    "airflow-scheduler": {
        "airflow_database_url", "airflow_fernet_key", "airflow_jwt_secret", "airflow_admin_password",
        "notification_webhook_url", "online_store_url", "spark_auth_secret",
    },
    "airflow-dag-processor": {"airflow_database_url", "airflow_fernet_key", "notification_webhook_url"},
    "airflow-triggerer": {"airflow_database_url", "airflow_fernet_key"},
    "class-archive": set(),
    "hive-metastore": {"metastore_jdbc_password"},
    "hive-server": set(),
    "jupyter": {"jupyter_token", "serving_read_token", "spark_auth_secret"},
    "mlflow": {"mlflow_database_url"},
    "serving": {"serving_admin_token", "serving_read_token", "online_store_url"},
    "spark-master": {"spark_auth_secret"},
    "spark-worker-1": {"spark_auth_secret"},
    "spark-worker-2": {"spark_auth_secret"},
    "watcher": secret_settings(),  # it starts all others where supervisord was killed
}  # fmt: skip
"""Of each process of the local mode. tests/stack/test_compose_file.py has the containers'."""


def test_each_service_is_given_its_secrets_and_no_other(settings: PlatformSettings) -> None:
    secrets = {name: f"the-{name}" for name in secret_settings()}
    known = settings.model_copy(update={name: SecretStr(value) for name, value in secrets.items()})
    environment = service_environment(known, {"PATH": "/usr/bin"})
    options = ServerOptions()
    prepare_state(known)
    configuration = settings.state_dir / "run" / "supervisord.conf"
    configuration.write_text(render_configuration(known), encoding="utf-8")
    options.realize(["-c", str(configuration)])
    found = {}
    for group in options.process_group_configs:
        script = next(str(known.project_root / one.command[0]) for one in services(known) if one.name == group.name)
        command = shlex.split(group.process_configs[0].command)
        before = command[: command.index(script)]
        # what the launch command would see
        seen = subprocess.run([*before, "/usr/bin/env"], env=environment, capture_output=True, text=True, check=True)
        found[group.name] = {name for name, value in secrets.items() if value in seen.stdout}
    assert found == SECRETS_OF


def test_jobs_and_training_get_nothing_of_whoever_starts_them(settings: PlatformSettings, tmp_path: Path) -> None:
    secrets = {name: f"the-{name}" for name in secret_settings()}
    known = settings.model_copy(update={name: SecretStr(value) for name, value in secrets.items()})
    submit = tmp_path / "bin" / "spark-submit"
    submit.parent.mkdir()
    submit.write_text("#!/bin/sh\nenv\n", encoding="utf-8")
    submit.chmod(0o755)
    environment = {**service_environment(known, {"PATH": os.environ["PATH"]}), "SPARK_HOME": str(tmp_path)}
    job = subprocess.run(
        [settings.project_root / "spark_jobs/bin/spark-submit"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {name for name, value in secrets.items() if value in job} == {"online_store_url"}
    training = [value for name, value in environment.items() if name not in withheld("training")]
    assert {name for name, secret in secrets.items() if secret in training} == set()


def test_the_rendered_spark_defaults_have_no_variable_left(settings: PlatformSettings) -> None:
    prepare_state(settings)
    rendered = spark_properties(settings).read_text(encoding="utf-8")
    assert not re.search(r"\$\{", rendered)
    assert re.search(r"^spark\.master +spark://127\.0\.0\.1:7077$", rendered, re.MULTILINE)


def test_the_environment_of_services(settings: PlatformSettings) -> None:
    environment = service_environment(settings, {"PATH": "/usr/bin", "MLOPS_SPARK_WORKERS": "9"})
    assert environment["MLOPS_SPARK_WORKERS"] == "2"
    assert environment["JUPYTER_TOKEN"] == "a-token"
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5001"
    assert environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    spark = json.loads(environment["AIRFLOW_CONN_SPARK_DEFAULT"])
    assert (spark["host"], spark["port"]) == ("spark://127.0.0.1", 7077)
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{settings.state_dir}/airflow/airflow.db"


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_services_reach_one_another_without_the_machines_proxy(settings: PlatformSettings, name: str) -> None:
    inside = settings.model_copy(update={"mlflow_host": "mlflow"})
    environment = service_environment(inside, {"HTTP_PROXY": "http://proxy:3128", name: "example.org,127.0.0.1"})
    assert environment["HTTP_PROXY"] == "http://proxy:3128"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "example.org,127.0.0.1,localhost,mlflow"


def test_services_see_the_use_cases_of_this_installation_from_every_folder(settings: PlatformSettings) -> None:
    named = settings.model_copy(update={"use_cases": "tests/use_cases:/srv/theirs"})
    environment = service_environment(named, {"PATH": "/usr/bin"})
    assert environment["MLOPS_USE_CASES"] == f"{settings.project_root}/tests/use_cases:/srv/theirs"


def test_databases_of_another_kind_come_from_the_settings(settings: PlatformSettings) -> None:
    elsewhere = settings.model_copy(
        update={
            "airflow_database_url": SecretStr("postgresql+psycopg2://airflow:secret@postgres/airflow"),
            "mlflow_database_url": SecretStr("postgresql+psycopg2://mlflow:secret@postgres/mlflow"),
            "metastore_jdbc_url": "jdbc:postgresql://postgres/metastore",
            "bind_address": "0.0.0.0",  # noqa: S104
        }
    )
    environment = service_environment(elsewhere, {"PATH": "/usr/bin"})
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].startswith("postgresql+psycopg2://airflow:secret@")
    assert environment["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg2://mlflow:secret@")
    assert environment["MLOPS_METASTORE_JDBC_URL"] == "jdbc:postgresql://postgres/metastore"
    assert "SPARK_LOCAL_IP" not in environment


def test_a_service_that_refuses_is_not_usable(settings: PlatformSettings) -> None:
    nobody = settings.model_copy(update=dict.fromkeys(_ports(settings), 1))
    for service in services(nobody):
        assert is_usable(service, nobody) is False


def _ports(settings: PlatformSettings) -> list[str]:
    return [name for name in type(settings).model_fields if name.endswith("_port")]


def test_stopping_what_does_not_run_stops_nothing(settings: PlatformSettings) -> None:
    assert Supervisor.running(settings) is None
    assert stop_services(settings) == 0


def test_leftovers_of_a_killed_supervisor_are_stopped_and_nothing_else(settings: PlatformSettings) -> None:
    environment = {**os.environ, "MLOPS_STARTED_BY": str(settings.state_dir)}
    # a process that echoes has begun; before that the kernel may not show its environment yet
    leftover, bystander = (
        subprocess.Popen(["cat"], env=started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for started in (environment, None)
    )
    try:
        for process in (leftover, bystander):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("here\n")
            process.stdin.flush()
            assert process.stdout.readline() == "here\n"
        assert stop_services(settings) == 1
        leftover.wait(timeout=10)
        assert bystander.poll() is None
    finally:
        for process in (leftover, bystander):
            process.kill()
            process.communicate()
            process.wait(timeout=10)
