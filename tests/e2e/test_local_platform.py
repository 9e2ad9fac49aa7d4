"""The whole platform for real: the tests run in this order, on one platform."""

import contextlib
import csv
import json
import os
import random
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.online_store.hive import HiveUnavailable, run_query
from mlops_platform.online_store.published import published_store
from mlops_platform.use_case.find import get_use_case
from stack.supervision import Supervisor, marked_processes
from tests.e2e.conftest import RunningPlatform
from tests.mlops_platform.online_store.contract import OnlineStoreContract
from tests.mlops_platform.online_store.publishers import InHive
from tests.processes import answers as answers_well
from tests.processes import wait_until
from tests.throws import write_throws

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

FEATURES = ("age", "years_on_the_job", "nb_previous_loans", "avg_amount_loans_previous", "flag_own_car")


def sampled_ids(platform: RunningPlatform, count: int) -> list[str]:
    """Ids of the published snapshot."""
    lake = Lake(platform.settings.lake_root)
    manifest = Snapshots(lake, "credit_risk").current()
    assert manifest is not None
    with published_store(lake, manifest) as store:
        return store.sample(count)


def answers(platform: RunningPlatform, ids: list[str]) -> list[Any]:
    """What the service answers for these ids, without what differs from request to request."""
    found = []
    for entity_id in ids:
        prediction = platform.get(f"/predict/?user_id={entity_id}")
        prediction.pop("request_id")
        found.append((platform.get(f"/features/?user_id={entity_id}"), prediction))
    return found


def test_start_ends_with_a_prediction_a_table_and_the_next_commands(platform: RunningPlatform) -> None:
    settings = platform.settings
    for url in (
        f"http://127.0.0.1:{settings.airflow_port}",
        f"http://127.0.0.1:{settings.spark_master_ui_port}",
        f"http://127.0.0.1:{settings.mlflow_port}",
        f"http://127.0.0.1:{settings.serving_port}/docs",
        f"http://127.0.0.1:{settings.jupyter_port}",
    ):
        assert url in platform.start_output
    curl = re.search(r"curl -s '?(http://127\.0\.0\.1:\d+/predict/[^'\s]+)'?", platform.start_output)
    assert curl, platform.start_output
    answer = httpx.get(curl.group(1)).json()
    assert answer["prediction"] in (0, 1)
    assert f'"prediction":{answer["prediction"]}' in platform.start_output.replace(" ", "")
    assert "./stop.sh" in platform.start_output


def test_secrets_are_private_and_stay_out_of_logs_and_arguments(platform: RunningPlatform) -> None:
    env_file = platform.root / ".env"
    assert stat.S_IMODE(env_file.stat().st_mode) == 0o600
    secrets = [
        line.split("=", 1)[1].strip("'\"")
        for line in env_file.read_text().splitlines()
        if re.match(r"MLOPS_\w*(PASSWORD|SECRET|TOKEN|KEY)\w*=", line)
    ]
    assert len(secrets) >= 4
    logs = [p for p in (platform.root / "var").rglob("*.log") if p.is_file()]
    assert logs
    leaks = {str(path) for path in logs for secret in secrets if secret in path.read_text(errors="replace")}
    assert leaks == set()
    arguments = [p.read_bytes().decode(errors="replace") for p in Path("/proc").glob("[0-9]*/cmdline") if readable(p)]
    assert not [line for line in arguments for secret in secrets if secret in line]


def readable(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def test_every_port_is_bound_to_loopback_only(platform: RunningPlatform) -> None:
    outside = {address[4][0] for address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for port in (platform.settings.airflow_port, platform.settings.serving_port, platform.settings.jupyter_port,
                 platform.settings.mlflow_port, platform.settings.hiveserver2_port):  # fmt: skip
        for host in outside - {"127.0.0.1", "127.0.1.1"}:
            with socket.socket() as probe:
                assert probe.connect_ex((host, port)) != 0, f"{host}:{port} answers"


def test_a_second_start_says_that_it_runs_and_changes_nothing(platform: RunningPlatform) -> None:
    before = platform.published("credit_risk")
    output = platform.command("./start.sh", "--mode", "local")
    assert "already running" in output
    assert platform.published("credit_risk") == before


def test_doctor_and_status_find_nothing_wrong(platform: RunningPlatform) -> None:
    platform.mlops("doctor")
    status = platform.mlops("status")
    assert "credit_risk" in status
    assert platform.published("credit_risk")["snapshot"] in status


def test_quality_findings_are_kept_with_the_snapshot(platform: RunningPlatform) -> None:
    quality = platform.published("credit_risk")["quality"]
    assert quality["rows_read"] == quality["rows_valid"] + quality["rows_quarantined"]
    assert quality["rows_read"] == 20_000


def test_the_short_paths_answer_as_the_readme_says(platform: RunningPlatform) -> None:
    features = platform.get("/features/?user_id=5021985")
    assert tuple(features) == FEATURES
    prediction = platform.get("/predict/?user_id=5137035")
    assert prediction["id"] == "5137035"
    assert prediction["prediction"] in (0, 1)
    posted = httpx.post(platform.settings.serving_url + "/predict", json={"id": "5008827"}).json()
    assert posted["id"] == "5008827"
    assert posted["prediction"] == platform.get("/v1/credit_risk/predict/5008827")["prediction"]


@pytest.mark.parametrize(
    ("path", "status"),
    [("/features/1", 404), ("/predict/1", 404), ("/predict/?user_id=", 422), ("/v1/no_such_use_case/predict/1", 404)],
)
def test_refusals_are_problem_documents(platform: RunningPlatform, path: str, status: int) -> None:
    answer = httpx.get(platform.settings.serving_url + path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_online_rows_equal_hive_rows(platform: RunningPlatform) -> None:
    ids = random.Random(7).sample(sampled_ids(platform, 200), 5)
    for entity_id in ids:
        online = platform.get(f"/features/?user_id={entity_id}")
        assert platform.get(f"/features/?user_id={entity_id}&source=hive") == online
    program = """
        import json, sys
        from pyhive import hive
        columns = "age, years_on_the_job, nb_previous_loans, avg_amount_loans_previous, flag_own_car"
        cursor = hive.connect(host=sys.argv[1], port=int(sys.argv[2])).cursor()
        rows = []
        for entity_id in sys.argv[3:]:
            query = f"SELECT {columns} FROM features.credit_risk_latest WHERE id = %(id)s"
            cursor.execute(query, {"id": int(entity_id)})
            rows.append(cursor.fetchall())
        print("ROWS " + json.dumps(rows))
    """
    settings = platform.settings
    output = platform.python(textwrap.dedent(program), settings.hiveserver2_host, str(settings.hiveserver2_port), *ids)
    rows = json.loads(output.split("ROWS ")[1])
    assert rows == [[list(platform.get(f"/features/?user_id={entity_id}").values())] for entity_id in ids]


def test_an_answer_is_a_row_of_hive_within_a_minute(platform: RunningPlatform) -> None:
    entity_id = sampled_ids(platform, 1)[0]
    answer = platform.get(f"/predict/?user_id={entity_id}")
    query = (
        "SELECT p.id, p.score, p.label, p.model_version, p.snapshot, p.variant, p.features.age = f.age "
        "FROM predictions.credit_risk p JOIN features.credit_risk_latest f ON p.id = f.id "
        "WHERE p.request_id = %(asked)s"
    )
    settings = platform.settings
    asked = {"asked": answer["request_id"]}

    def in_hive() -> list[tuple[Any, ...]]:
        with contextlib.suppress(HiveUnavailable):  # the table comes with its first rows
            return run_query(settings.hiveserver2_host, settings.hiveserver2_port, query, asked)
        return []

    rows = wait_until(in_hive, "the answer is a row of Hive", 60)
    expected = [answer[name] for name in ("probability", "prediction", "model_version", "snapshot", "variant")]
    assert rows == [(int(entity_id), *expected, True)]


def test_a_session_that_stays_open_sees_new_answers_and_merged_files(platform: RunningPlatform) -> None:
    entity_id = sampled_ids(platform, 1)[0]
    program = """
        import json, sys, urllib.request
        from pyhive import hive
        from pyhive.exc import OperationalError
        from mlops_platform.lake.lake import Lake
        from mlops_platform.settings import load_settings
        from serving.log import compact
        from serving.log.publish import publish
        from serving.log.table import PredictionTable
        from tests.processes import wait_until
        settings = load_settings()
        cursor = hive.connect(host=settings.hiveserver2_host, port=settings.hiveserver2_port).cursor()
        def column(expression):
            cursor.execute(f"SELECT {expression} FROM predictions.credit_risk WHERE `position` = 0 AND served")
            return [row[0] for row in cursor.fetchall()]
        def there():
            try:
                return bool(column("1"))
            except OperationalError:  # the table comes with its first rows
                return False
        wait_until(there, "the table", 60)
        before = column("request_id")
        answer = json.load(urllib.request.urlopen(sys.argv[1]))["request_id"]
        wait_until(lambda: answer in column("request_id"), "the answer", 60)
        compact.FILES_TO_MERGE = 2
        table = PredictionTable(Lake(settings.lake_root), "credit_risk")
        old = table.folder
        wait_until(lambda: publish(settings).segments == 0 and table.folder != old, "the merge", 60)
        def moved():
            return not any(f"/{old}/" in name for name in column("input_file_name()"))
        wait_until(moved, "the new folder", 60)
        after = column("request_id")
        print("FOUND", set(before) <= set(after), len(after) == len(set(after)))
    """
    url = f"{platform.settings.serving_url}/predict/?user_id={entity_id}"
    assert platform.python(textwrap.dedent(program), url).split("FOUND ")[1].split() == ["True"] * 2


class TestHiveStore(OnlineStoreContract):
    """The adapter beside the published tables, on tables of its own."""

    @pytest.fixture(scope="class")
    @classmethod
    def publisher(cls, platform: RunningPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InHive]:
        settings = platform.settings
        folder = tmp_path_factory.mktemp("in_hive")
        publisher = InHive(settings.hiveserver2_host, settings.hiveserver2_port, folder)
        yield publisher
        publisher.remove()


def test_beeline_and_airflows_hook_read_the_latest_features(platform: RunningPlatform) -> None:
    entity_id = sampled_ids(platform, 1)[0]
    query = f"SELECT nb_previous_loans FROM features.credit_risk_latest WHERE id = {entity_id}"
    expected = platform.get(f"/features/?user_id={entity_id}")["nb_previous_loans"]
    address = f"jdbc:hive2://{platform.settings.hiveserver2_host}:{platform.settings.hiveserver2_port}"
    beeline = platform.in_environment(
        "beeline", "-u", address, "-n", "test", "--silent=true", "--outputformat=csv2", "-e", query
    )
    assert beeline.strip().splitlines()[-1] == str(expected)
    hook = platform.python(
        "import sys; from airflow.providers.apache.hive.hooks.hive import HiveServer2Hook; "
        "print('FOUND', HiveServer2Hook().get_records(sys.argv[1]))",
        query,
    )
    assert f"FOUND [({expected},)]" in hook


def test_hive_has_the_types_of_the_spec(platform: RunningPlatform) -> None:
    output = platform.python(
        "import sys; from pyhive import hive; c = hive.connect(sys.argv[1], int(sys.argv[2])).cursor(); "
        "c.execute('DESCRIBE features.credit_risk_latest'); print('TYPES', [row[:2] for row in c.fetchall()])",
        platform.settings.hiveserver2_host,
        str(platform.settings.hiveserver2_port),
    )
    assert "('id', 'bigint'), ('loan_date', 'date'), ('age', 'int')" in output
    assert "('avg_amount_loans_previous', 'double')" in output


def test_a_dry_run_writes_nothing(platform: RunningPlatform) -> None:
    # the service's prediction log goes on being written, whoever else does what
    answered = platform.settings.lake_root / "predictions"

    def lake_files() -> set[Path]:
        return {p for p in platform.settings.lake_root.rglob("*") if p.is_file() and answered not in p.parents}

    before = lake_files()
    platform.mlops("run", "credit_risk", "features", "--dry-run", "--wait")
    assert lake_files() == before


def test_a_bad_file_leaves_the_published_snapshot(platform: RunningPlatform, tmp_path: Path) -> None:
    before = platform.published("credit_risk")
    wrong = tmp_path / "loans.csv"
    wrong.write_text("loan_id,id\n1,2\n", encoding="utf-8")
    output = platform.mlops("data", "add", "credit_risk", str(wrong), expect=1)
    assert "missing" in output
    assert "Remedy:" in output
    assert "Traceback" not in output
    nonsense = tmp_path / "nonsense.csv"
    spec = get_use_case("credit_risk")
    with nonsense.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(spec.raw_columns)
        writer.writerows([["x"] * len(spec.raw_columns)] * 50)
    platform.mlops("data", "add", "credit_risk", str(nonsense))
    failed = platform.mlops("run", "credit_risk", "features", "--wait", expect=1)
    assert "compute_features" in failed
    assert "quarantin" in failed
    assert platform.published("credit_risk") == before
    good = before["dataset_version"]
    again = platform.mlops("run", "credit_risk", "features", "--dataset-version", str(good), "--wait")
    assert "unchanged" in again
    assert platform.published("credit_risk") == before
    platform.mlops("run", "credit_risk", "features", "--dataset-version", str(good), "--force", "--wait")
    after = platform.published("credit_risk")
    assert after["snapshot"] != before["snapshot"]
    assert (after["rows"], after["entities"]) == (before["rows"], before["entities"])


def test_where_nothing_is_new_nothing_is_done(platform: RunningPlatform) -> None:
    def registered() -> list[str]:
        return [one["version"] for one in json.loads(platform.mlops("models", "list", "credit_risk", "--json"))]

    published, versions, champion = platform.published("credit_risk"), registered(), champion_of(platform)
    # the bad file of the test before is the latest: the good one is asked for by its number
    wanted = ("--dataset-version", str(published["dataset_version"]))
    for pipeline, options in (("features", wanted), ("training", ()), ("features", wanted)):
        assert "\nunchanged: " in platform.mlops("run", "credit_risk", pipeline, *options)
    assert (platform.published("credit_risk"), registered(), champion_of(platform)) == (published, versions, champion)


def champion_of(platform: RunningPlatform) -> str:
    return str(platform.get("/v1/credit_risk/predict/5137035")["model_version"])


def test_a_model_waits_for_its_approval_and_a_rejection_leaves_the_champion(platform: RunningPlatform) -> None:
    before = platform.get("/v1/credit_risk/predict/5137035")["model_version"]
    platform.mlops("run", "credit_risk", "training", "--require-approval", "--force", "--no-wait")
    platform.mlops("approve", "credit_risk", "--reject")
    assert platform.get("/v1/credit_risk/predict/5137035")["model_version"] == before


def test_a_new_use_case_of_a_folder_outside_runs_to_a_prediction(platform: RunningPlatform, tmp_path: Path) -> None:
    source = tmp_path / "throws.csv"
    write_throws(source)
    platform.mlops("data", "add", "toy", str(source))
    platform.mlops("run", "toy", "features", "--wait")
    prediction = platform.eventually("/v1/toy/predict/coin-3")
    assert prediction["id"] == "coin-3"
    assert prediction["prediction"] in (0, 1)
    features = platform.get("/v1/toy/features/coin-3")
    assert features["throws_before"] == 108


def test_the_notebooks_run_as_they_are(platform: RunningPlatform) -> None:
    for notebook in sorted((platform.root / "notebooks").glob("*.ipynb")):
        convert = ("notebooks/jupyter.sh", "nbconvert", "--to", "notebook", "--execute", "--stdout")
        output = platform.command(*convert, f"notebooks/{notebook.name}")
        assert '"cells"' in output
        assert '"output_type": "error"' not in output


def pids_of(platform: RunningPlatform, title: str) -> list[int]:
    """The processes of the platform whose title begins so."""
    return [
        process.pid for process in marked_processes(platform.settings) if " ".join(process.cmdline()).startswith(title)
    ]


def service_pid(platform: RunningPlatform, service: str) -> int | None:
    return Supervisor(platform.settings).process(service).pid


def other_pid(platform: RunningPlatform, service: str, before: int) -> int:
    """The service's process, once it is not the one of before."""

    def other() -> int | None:
        pid = service_pid(platform, service)
        return None if pid == before else pid

    pid: int = wait_until(other, f"{service} is started again", 60)
    return pid


def test_a_task_runs_though_the_workers_of_airflow_were_killed(platform: RunningPlatform) -> None:
    idle = [pid for title in ("airflow worker", "airflow task") for pid in pids_of(platform, title)]
    for pid in idle:
        os.kill(pid, signal.SIGKILL)
    killed = json.loads(platform.mlops("run", "credit_risk", "training", "--force", "--no-wait", "--json"))["run_id"]
    for pid in wait_until(lambda: pids_of(platform, "airflow task"), "a task has begun", 120):
        os.kill(pid, signal.SIGKILL)
    again = ("run", "credit_risk", "features", "--dataset-version", "1", "--force", "--timeout", "600")
    assert "published snapshot" in platform.mlops(*again)
    with AirflowClient(platform.settings) as airflow:
        (run,) = [one for one in airflow.runs("credit_risk_training", limit=5) if one.run_id == killed]
        assert airflow.wait(run, timeout=600, progress=lambda _line: None).state == "success"


def test_a_service_that_is_killed_six_times_in_a_row_comes_back(platform: RunningPlatform) -> None:
    killed = 0
    for _ in range(6):
        killed = other_pid(platform, "serving", killed)
        os.kill(killed, signal.SIGKILL)
    wait_until(lambda: answers_well(f"{platform.settings.serving_url}/readyz"), "it answers", 120)
    wait_until(lambda: service_pid(platform, "serving") not in (killed, None), "it is the new one that answers", 120)


def test_a_supervisor_that_is_killed_comes_back_with_all_services(platform: RunningPlatform) -> None:
    supervisor, serving = Supervisor(platform.settings).pid(), service_pid(platform, "serving")
    assert serving is not None
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(supervisor), "it is gone", 10)
    wait_until(lambda: Supervisor.running(platform.settings), "there is another one", 120)
    wait_until(lambda: "already running" in platform.command("./start.sh", expect=None), "all services run", 600)
    assert answers_well(f"{platform.settings.serving_url}/readyz")
    assert not psutil.pid_exists(serving), "what it left behind is gone"
    assert len(pids_of(platform, "python -m stack.watcher")) == 1


def test_a_run_is_followed_through_a_restart_of_airflows_api(platform: RunningPlatform) -> None:
    command = [str(platform.root / "mlops"), "run", "credit_risk", "training", "--force"]
    with subprocess.Popen(
        command, cwd=platform.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as following:
        assert following.stdout is not None
        lines = [following.stdout.readline()]
        api_server = service_pid(platform, "airflow-api-server")
        assert api_server is not None
        os.killpg(api_server, signal.SIGKILL)
        lines += following.stdout.readlines()
    assert following.returncode == 0, lines
    assert [line for line in lines if "waiting for it, 300 s at most" in line]


def test_workers_are_added_to_a_running_platform_and_taken_away(platform: RunningPlatform) -> None:
    before = service_pid(platform, "serving")
    for workers in (2, 1):
        platform.command("./start.sh", "--workers", str(workers))
        known = Supervisor(platform.settings).processes()
        assert sum(name.startswith("spark-worker-") for name in known) == workers
        assert service_pid(platform, "serving") == before
    assert "already running" in platform.command("./start.sh")


def test_what_the_watcher_mended_and_that_it_is_away(platform: RunningPlatform) -> None:
    watcher = service_pid(platform, "watcher")
    assert watcher is not None
    os.kill(watcher, signal.SIGSTOP)
    try:
        wait_until(lambda: "The watcher is away" in platform.mlops("status"), "it is said", 60)
        assert "watcher: it has not looked at the platform since" in platform.mlops("doctor", expect=1)
    finally:
        os.kill(watcher, signal.SIGCONT)
    wait_until(lambda: "The watcher is away" not in platform.mlops("status"), "it looks again", 60)


def test_stop_and_restart_keep_everything(platform: RunningPlatform) -> None:
    ids = [*sampled_ids(platform, 3), "5137035"]
    before = answers(platform, ids)
    runs = airflow_runs(platform)
    platform.command("./stop.sh")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", platform.settings.serving_port)) != 0
    assert processes_of(platform.root) == []
    platform.command("./start.sh", "--mode", "local")
    assert answers(platform, ids) == before
    assert runs <= airflow_runs(platform)
    platform.command("./restart.sh")
    assert answers(platform, ids) == before


def airflow_runs(platform: RunningPlatform) -> set[str]:
    with sqlite3.connect(platform.root / "var/airflow/airflow.db") as database:
        return {row[0] for row in database.execute("SELECT run_id FROM dag_run WHERE state = 'success'")}


def processes_of(root: Path) -> list[str]:
    """Command lines of processes that run from this checkout."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            here = path.readlink()
            if root == here or root in here.parents:
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return [line for line in found if line and str(os.getpid()) != line]


def test_reset_removes_this_platforms_state_and_nothing_else(platform: RunningPlatform) -> None:
    bystander = platform.root.parent / "bystander.txt"
    bystander.write_text("mine", encoding="utf-8")
    refused = platform.command("./reset.sh", expect=None)
    assert (platform.root / "var").is_dir(), refused
    platform.command("./reset.sh", "--yes")
    assert not (platform.root / "var").exists()
    assert not (platform.root / ".env").exists()
    assert (platform.root / ".venv").is_dir()
    assert processes_of(platform.root) == []
    platform.command("./reset.sh", "--yes", "--all")
    assert not (platform.root / ".venv").exists()
    assert bystander.read_text(encoding="utf-8") == "mine"
