"""The platform in containers, for real: the tests run in this order, on one platform."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.pipelines.names import REPORT_TASK
from mlops_platform.revision import revision
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import get_use_case
from stack.bare.compose import TRAINING_LABEL
from tests.docker.conftest import ROWS, USER, WORKERS, ComposePlatform, docker
from tests.processes import answers as answers_http
from tests.processes import free_port, wait_until
from tests.throws import write_throws

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

IDS = ("5137035", "5021985", "5008827")
SERVICES = {
    "airflow-api-server", "airflow-dag-processor", "airflow-scheduler", "airflow-triggerer", "hive-metastore",
    "hive-server", "jupyter", "mlflow", "postgres", "serving", "spark-master", "spark-worker", "training-launcher",
    "watcher",
}  # fmt: skip


def answers(platform: ComposePlatform) -> list[Any]:
    """What the service says of some ids, without what differs from request to request."""
    found = []
    for entity_id in IDS:
        prediction = platform.get(f"/predict/{entity_id}")
        prediction.pop("request_id")
        found.append((platform.get(f"/features/?user_id={entity_id}"), prediction))
    return found


def published(platform: ComposePlatform) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(platform.read_lake("features/credit_risk/current.json"))
    return content


def master_state(platform: ComposePlatform) -> Any:
    return httpx.get(f"http://127.0.0.1:{platform.settings.spark_master_ui_port}/json/", timeout=30).json()


def test_start_ends_as_the_local_mode_does(platform: ComposePlatform) -> None:
    settings = platform.settings
    for port in (settings.airflow_port, settings.spark_master_ui_port, settings.mlflow_port, settings.jupyter_port):
        assert f"http://127.0.0.1:{port}" in platform.start_output
    curl = re.search(r"curl -s (http://127\.0\.0\.1:\d+/predict/\S+)", platform.start_output)
    assert curl, platform.start_output
    assert httpx.get(curl.group(1)).json()["prediction"] in (0, 1)
    assert "./mlops status" in platform.start_output
    assert published(platform)["quality"]["rows_read"] == ROWS


def test_every_service_is_healthy_and_the_file_is_clean(platform: ComposePlatform) -> None:
    assert platform.compose("config", "--quiet") == ""
    health = platform.health()
    assert set(health.values()) == {"healthy"}, health
    assert {re.sub(r"^.*?-(.*)-\d+$", r"\1", name.removeprefix(platform.project)) for name in health} == SERVICES
    assert len(platform.containers("spark-worker")) == WORKERS


def test_nobody_is_root_and_every_port_is_this_machines(platform: ComposePlatform) -> None:
    for service in sorted(SERVICES):
        for container in platform.containers(service):
            owners = {line.split()[1] for line in docker("top", container, "-eo", "pid,uid").splitlines()[1:]}
            assert "0" not in owners, service
            bound = json.loads(docker("inspect", container, "--format", "{{json .HostConfig.PortBindings}}")) or {}
            assert {one["HostIp"] for bindings in bound.values() for one in bindings} <= {"127.0.0.1"}, service


def test_no_root_can_be_written_to_and_no_service_can_make_processes_without_end(platform: ComposePlatform) -> None:
    for service in sorted(SERVICES):
        for container in platform.containers(service):
            host = json.loads(docker("inspect", container, "--format", "{{json .HostConfig}}"))
            assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (True, ["ALL"], None), service
            assert host["SecurityOpt"] == ["no-new-privileges:true"], service
            assert 0 < host["PidsLimit"] <= 4096, service


REACHED = """
import socket
for host, port in {targets}:
    try:
        socket.create_connection((host, port), timeout=2).close()
        print(host)
    except OSError:
        pass
"""


def test_services_reach_those_that_they_need_and_no_other(platform: ComposePlatform) -> None:
    settings = platform.settings
    targets = {
        "postgres": 5432,
        "airflow-api-server": settings.airflow_port,
        "spark-master": settings.spark_master_port,
        "hive-server": settings.hiveserver2_port,
        "mlflow": settings.mlflow_port,
        "serving": settings.serving_port,
        "training-launcher": 8090,
    }
    addresses = {service: networks_of(platform.containers(service)[0]) for service in targets}
    asked = [*targets.items(), *((one, targets[name]) for name, found in addresses.items() for one in found.values())]
    program = REACHED.format(targets=asked)
    for service, expected in {
        "spark-worker": {"spark-master"},
        "serving": {"serving", "hive-server", "mlflow"},
        "airflow-triggerer": {"postgres", "airflow-api-server"},
        "hive-metastore": {"postgres", "hive-server", "mlflow", "serving"},
        "jupyter": {"spark-master", "hive-server", "mlflow", "serving"},
    }.items():
        shared = networks_of(platform.containers(service)[0]).keys()
        near = {one for found in addresses.values() for network, one in found.items() if network in shared}
        reached = platform.inside(service, f'python -c "{program}"').split()
        # what is on no network of its own it does not reach by the address either
        assert set(reached) == expected | near, service


def networks_of(container: str) -> dict[str, str]:
    """A container's address in each network."""
    found = json.loads(docker("inspect", container, "--format", "{{json .NetworkSettings.Networks}}"))
    return {name: network["IPAddress"] for name, network in found.items()}


def test_a_driver_without_the_secret_gets_no_cores(platform: ComposePlatform) -> None:
    program = (
        "sed /spark.authenticate/d $MLOPS_SPARK_PROPERTIES >/tmp/none.conf; "
        "echo 'from pyspark.sql import SparkSession; SparkSession.builder.getOrCreate()' >/tmp/none.py; "
        "timeout 40 $SPARK_HOME/bin/spark-submit --properties-file /tmp/none.conf /tmp/none.py"
    )
    refused = platform.inside("jupyter", program, launched=True, expect=None)
    assert "Expected SaslMessage" in refused
    lines = platform.inside("spark-worker", "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    secret = load_settings(platform.root / ".env").spark_auth_secret
    assert secret is not None
    assert secret.get_secret_value() not in lines


def test_a_second_start_says_that_it_runs_and_changes_nothing(platform: ComposePlatform) -> None:
    before, containers = published(platform), platform.health()
    output = platform.command("./start.sh", "--mode", "docker")
    assert "already running" in output
    assert (published(platform), platform.health()) == (before, containers)
    refused = platform.command("./start.sh", "--mode", "local", expect=1)
    assert "the platform runs in the mode docker. Remedy: ./stop.sh first" in refused


def test_the_pipeline_runs_through_airflows_rest_api(platform: ComposePlatform) -> None:
    before = published(platform)
    with AirflowClient(platform.settings) as airflow:
        assert airflow.import_errors() == []
        run = airflow.trigger("credit_risk_features", {"dataset_version": 0, "force": True})
        airflow.wait(run, timeout=900, progress=print)
        assert published(platform)["snapshot"] != before["snapshot"]
        (event,) = airflow.asset_events("credit_risk_features", run.run_id)

        def training() -> list[tuple[str, str]]:
            (event,) = airflow.asset_events("credit_risk_features", run.run_id)
            return list(event.runs)

        ((dag_id, run_id),) = wait_until(training, "the training run", 120)
        airflow.wait(airflow.run(dag_id, run_id), timeout=900, progress=print)
        # the rows, spec and code are those of before, but the run that published them was forced
        assert airflow.result(dag_id, run_id, REPORT_TASK)["result"] in ("promoted", "rejected")
        verdict = airflow.result(dag_id, run_id, "train_candidates")
    assert event.extra["snapshot"] == published(platform)["snapshot"] == verdict["snapshot"]


def test_training_ran_in_containers_that_are_gone(platform: ComposePlatform) -> None:
    since, now = platform.started_at.timestamp(), time.time()
    lines = docker(
        *("events", "--since", str(int(since)), "--until", str(int(now)), "--filter", "event=die"),
        *("--filter", f"label={TRAINING_LABEL}={platform.project}", "--format", "{{json .Actor.Attributes}}"),
    ).splitlines()
    runs = [json.loads(line) for line in lines]
    assert runs  # the last one at least: an engine remembers 256 events, health checks among them
    assert {run["image"] for run in runs} == {f"{platform.project}-training"}
    assert {run["exitCode"] for run in runs} == {"0"}
    assert docker("ps", "--all", "--quiet", "--filter", f"label={TRAINING_LABEL}={platform.project}") == ""


def test_features_and_predictions_come_by_http_and_hive_agrees(platform: ComposePlatform) -> None:
    for entity_id in IDS:
        online = platform.get(f"/features/?user_id={entity_id}")
        assert platform.get(f"/features/?user_id={entity_id}&source=hive") == online
    assert platform.get("/predict/?user_id=5137035")["prediction"] in (0, 1)
    assert httpx.get(platform.settings.serving_url + "/predict/1").status_code == 404


def test_the_command_line_works_from_this_machine(platform: ComposePlatform, tmp_path: Path) -> None:
    assert "credit_risk" in platform.mlops("status")
    assert json.loads(platform.mlops("predict", "5137035"))["prediction"] in (0, 1)
    wrong = tmp_path / "loans.csv"
    wrong.write_text("loan_id,id\n1,2\n", encoding="utf-8")
    refused = platform.command(str(platform.root / "mlops"), "data", "add", "credit_risk", str(wrong), expect=1)
    assert "Remedy:" in refused
    assert "Traceback" not in refused


def test_only_the_scheduler_reaches_the_launcher_and_nobody_the_engine(platform: ComposePlatform) -> None:
    ask = "import httpx; print(httpx.{}('http://training-launcher:8090{}').status_code)"
    for method, path, status in (
        ("put", "/training-runs/credit_risk/run-1?snapshot=s", "401"),
        ("post", "/containers/create", "404"),
        ("get", "/healthz", "204"),
    ):
        asked = platform.inside("airflow-scheduler", f'python -c "{ask.format(method, path)}"')
        assert asked.strip() == status
    look_up = "python -c 'import socket; socket.getaddrinfo(\"training-launcher\", 8090)'"
    for service in ("jupyter", "airflow-triggerer", "serving"):
        assert "gaierror" in platform.inside(service, look_up, expect=1)


def sagemaker_folders(platform: ComposePlatform, folder: Path, hyperparameters: dict[str, str]) -> list[str]:
    """SageMaker's layout with the published snapshot, and the options that mount it."""
    manifest = published(platform)
    scheduler = platform.containers("airflow-scheduler")[0]
    for name in ("input/config", "input/data", "model", "output"):
        (folder / name).mkdir(parents=True)
    docker("cp", f"{scheduler}:/var/lib/mlops/lake/{manifest['features_path']}", str(folder / "input/data/training"))
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(hyperparameters), encoding="utf-8")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o644)
    return ["--volume", f"{folder}/input:/opt/ml/input:ro", "--volume", f"{folder}/model:/opt/ml/model",
            "--volume", f"{folder}/output:/opt/ml/output"]  # fmt: skip


def test_the_images_keep_sagemakers_contract(platform: ComposePlatform, tmp_path: Path) -> None:
    family = get_use_case("credit_risk").candidates[0].family
    job = {
        "use_case": "credit_risk",
        "snapshot": published(platform)["snapshot"],
        "run_id": "by-hand",
        "families": family,
    }
    mounts = sagemaker_folders(platform, tmp_path / "ml", job)
    verdict = json.loads(docker("run", "--rm", *mounts, f"{platform.project}-training", "train").splitlines()[-1])
    assert verdict["family"] == family
    assert (tmp_path / "ml/model/manifest.json").is_file()
    assert not (tmp_path / "ml/output/failure").exists()

    port = free_port()
    container = docker(
        *("run", "--detach", "--rm", "--publish", f"127.0.0.1:{port}:8080"),
        *("--volume", f"{tmp_path}/ml/model:/opt/ml/model:ro", f"{platform.project}-serving", "serve"),
    ).strip()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers_http(f"{url}/ping"), "the model server", 120)
        row = {"age": 31, "years_on_the_job": 12, "nb_previous_loans": 9, "avg_amount_loans_previous": 153.12,
               "flag_own_car": 1}  # fmt: skip
        answer = httpx.post(f"{url}/invocations", json={"rows": [row]}, timeout=30)
        assert answer.status_code == 200, answer.text
        csv = httpx.post(f"{url}/invocations", content="31,12,9,153.12,1", headers={"Content-Type": "text/csv"})
        assert csv.text.split(",")[0] in ("0", "1")
    finally:
        docker("stop", container)


def test_a_failed_training_says_why_where_sagemaker_looks(platform: ComposePlatform, tmp_path: Path) -> None:
    job = {"use_case": "credit_risk", "snapshot": "s", "run_id": "r", "families": "no_such_family"}
    mounts = sagemaker_folders(platform, tmp_path / "ml", job)
    docker("run", "--rm", *mounts, f"{platform.project}-training", "train", expect=1)
    assert "credit_risk has no family 'no_such_family'" in (tmp_path / "ml/output/failure").read_text(encoding="utf-8")


def test_a_use_case_of_another_folder_runs_to_a_prediction_in_no_new_image(
    platform: ComposePlatform, tmp_path: Path
) -> None:
    assert "toy" not in platform.compose("run", "--rm", "--no-deps", "--entrypoint", "ls", "mlflow", "use_cases")
    source = tmp_path / "throws.csv"
    write_throws(source)
    platform.mlops("data", "add", "toy", str(source))
    platform.mlops("run", "toy", "features", "--wait")
    url = f"{platform.settings.serving_url}/v1/toy/predict/coin-3"
    wait_until(lambda: answers_http(url), "the toy's prediction", 60)
    assert platform.get("/v1/toy/predict/coin-3")["prediction"] in (0, 1)
    assert platform.get("/v1/toy/features/coin-3")["throws_before"] == 108


def test_a_model_knows_the_commit_of_its_code(platform: ComposePlatform) -> None:
    commit = revision(platform.root)[:40]  # files may have been edited since the start
    assert re.match("[0-9a-f]{40}", commit)
    assert platform.get("/v1/credit_risk/model")["git_sha"] == commit


LONG_JOB = """
from pyspark.sql import SparkSession
builder = SparkSession.builder.appName("long")
session = builder.config("spark.executor.cores", 1).config("spark.cores.max", 2).getOrCreate()
def slowly(number):
    return sum(i % 7 for i in range(2_000_000 + number))
print("SUM", session.sparkContext.parallelize(range(120), 120).map(slowly).count())
"""


def test_a_job_outlives_a_killed_worker_and_others_are_not_starved(platform: ComposePlatform) -> None:
    notebook = subprocess.Popen(
        ["docker", "compose", "exec", "-T", "jupyter", "bash", "-c",
         ". mlops_platform/services/environment.sh; cat >/tmp/long.py; exec spark-submit /tmp/long.py"],
        cwd=platform.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert notebook.stdin is not None
    notebook.stdin.write(LONG_JOB)
    notebook.stdin.close()

    def executors() -> list[Any]:
        (app,) = [app for app in master_state(platform)["activeapps"] if app["name"] == "long"] or [None]
        if app is None:
            return []
        page = httpx.get(
            f"http://127.0.0.1:{platform.settings.spark_master_ui_port}/app/?appId={app['id']}", timeout=30
        ).text
        return sorted(set(re.findall(r"worker-\d+-([\d.]+)-\d+", page)))

    for worker in master_state(platform)["workers"]:
        page = httpx.get(f"http://127.0.0.1:{platform.settings.spark_master_ui_port}/proxy/{worker['id']}/", timeout=30)
        assert (page.status_code, "Spark Worker" in page.text) == (200, True)
    hosts = wait_until(lambda: (found := executors()) and len(found) == WORKERS and found, "two executors", 120)
    by_address = {
        address: container
        for container in platform.containers("spark-worker")
        for address in networks_of(container).values()
    }  # the executors are on the workers, not where the driver is
    assert set(hosts) == set(by_address)
    docker("kill", by_address[hosts[0]])
    # meanwhile HiveServer2 answers, and a job of Airflow's gets cores beside the notebook's
    assert platform.get("/features/?user_id=5137035&source=hive")
    with AirflowClient(platform.settings) as airflow:
        run = airflow.trigger("credit_risk_features", {"dry_run": True})
        airflow.wait(run, timeout=600, progress=print)
    output = notebook.stdout.read() if notebook.stdout else ""
    assert notebook.wait(timeout=600) == 0, output
    assert "SUM 120" in output
    platform.command("./start.sh", "--mode", "docker", "--workers", str(WORKERS))
    assert len(platform.containers("spark-worker")) == WORKERS


def test_what_notebooks_write_is_the_users_and_what_the_user_edits_takes_effect(platform: ComposePlatform) -> None:
    platform.inside("jupyter", "echo '{}' >notebooks/written.ipynb")
    written = (platform.root / "notebooks/written.ipynb").stat()
    assert written.st_uid == (os.getuid() or USER)
    dag = platform.root / "airflow/dags/hello.py"
    dag.write_text(
        "from airflow.sdk import dag, task\n\n\n@dag(schedule=None)\ndef hello():\n"
        "    @task\n    def greet():\n        return 'hello'\n\n    greet()\n\n\nhello()\n",
        encoding="utf-8",
    )
    dag.chmod(0o644)
    with AirflowClient(platform.settings) as airflow:
        wait_until(lambda: airflow.has_dag("hello"), "the new DAG", 120)
    job = platform.root / "spark_jobs/feature_job.py"
    job.write_text(job.read_text(encoding="utf-8") + "# edited\n", encoding="utf-8")
    assert "# edited" in platform.inside("airflow-scheduler", "tail -1 spark_jobs/feature_job.py")


def test_stop_and_restart_keep_everything(platform: ComposePlatform) -> None:
    before, snapshot = answers(platform), published(platform)
    with AirflowClient(platform.settings) as airflow:
        runs = {run.run_id for run in airflow.runs("credit_risk_features", limit=20)}
    platform.command("./stop.sh")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", platform.settings.serving_port)) != 0
    assert platform.compose("ps", "--quiet") == ""
    platform.command("./start.sh", "--workers", str(WORKERS))
    assert (answers(platform), published(platform)) == (before, snapshot)
    platform.command("./restart.sh")
    assert answers(platform) == before
    with AirflowClient(platform.settings) as airflow:
        assert runs <= {run.run_id for run in airflow.runs("credit_risk_features", limit=20)}


def test_reset_removes_this_project_and_leaves_the_bystanders(platform: ComposePlatform, tmp_path: Path) -> None:
    name = f"bystander-of-{platform.project}"
    (tmp_path / "Dockerfile").write_text("FROM python:3.11-slim-bookworm\nLABEL bystander=yes\n", encoding="utf-8")
    docker("build", "--quiet", "--tag", name, str(tmp_path))
    docker("volume", "create", name)
    docker("run", "--detach", "--name", name, "--volume", f"{name}:/kept", name, "tail", "-f", "/dev/null")
    try:
        platform.command("./reset.sh", expect=1)
        assert set(platform.health().values()) == {"healthy"}
        platform.command("./reset.sh", "--yes")
        label = f"label=com.docker.compose.project={platform.project}"
        for what in (("ps", "--all"), ("volume", "ls"), ("network", "ls"), ("image", "ls")):
            assert docker(*what, "--quiet", "--filter", label) == "", what
        assert docker("image", "ls", "--quiet", "--filter", f"reference={platform.project}-*") == ""
        assert not (platform.root / ".env").exists()
        assert docker("inspect", name, "--format", "{{.State.Running}}").strip() == "true"
        assert docker("volume", "ls", "--quiet", "--filter", f"name={name}").strip() == name
        assert docker("image", "ls", "--quiet", name) != ""
        assert docker("image", "ls", "--quiet", "postgres:15-bookworm") != ""
    finally:
        docker("rm", "--force", name)
        docker("volume", "rm", name)
        docker("image", "rm", name)
