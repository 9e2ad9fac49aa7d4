"""The table of services, the supervisor's configuration, and the environment that launch commands get."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr
from supervisor.options import ServerOptions

from mlops_platform.services.environment import prepare_state, service_environment, spark_properties
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
    assert shlex.split(worker.command) == [str(settings.project_root / "spark_jobs/worker.sh"), "2"]
    assert worker.stdout_logfile == str(settings.state_dir / "log" / "spark-worker-2.log")
    assert worker.startretries == 1_000_000, "for ever: each of them waits a second longer than the one before"
    assert (worker.stopasgroup, worker.killasgroup, worker.autostart) == (True, True, False)


def test_no_secret_is_rendered(settings: PlatformSettings) -> None:
    prepare_state(settings)
    assert "a-token" not in render_configuration(settings)
    assert "a-token" not in spark_properties(settings).read_text(encoding="utf-8")


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
