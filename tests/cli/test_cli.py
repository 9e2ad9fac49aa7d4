"""The command line as a user or a script meets it: output, errors, exit codes."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.__main__ import main
from cli.output import status_text
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.services.status import RunStatus, ServiceStatus, Status, UseCaseStatus
from mlops_platform.settings import PlatformSettings, load_settings
from tests.scripted_server import ScriptedServer


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Mlops:
    """Runs one command in this process."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = self._captured.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def mlops(settings: PlatformSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mlops:
    """The command line in this test's installation: the checkout may have been started, and have an .env of its own."""
    monkeypatch.setattr("cli.__main__.load_settings", lambda: load_settings(None))
    return Mlops(capsys)


def publish(settings: PlatformSettings, snapshot: str, day: int) -> None:
    snapshots = Snapshots(Lake(settings.lake_root), "credit_risk")
    attempt = snapshots.claim(snapshot)
    with snapshots.publishing(snapshot, attempt):
        snapshots.publish(
            SnapshotManifest(
                snapshot=snapshot,
                use_case="credit_risk",
                attempt=attempt,
                dataset_version=1,
                run_date=dt.date(2026, 1, day),
                created_at=dt.datetime(2026, 1, day, 3, 4, tzinfo=dt.UTC),
                spec_hash="0",
                rows=20,
                entities=7,
                features_path="f",
                online_path="o",
                quality=Quality(rows_read=20, rows_valid=20, rows_quarantined=0),
            )
        )


def test_help_names_every_command(mlops: Mlops) -> None:
    shown = mlops("--help")
    assert shown.code == 0
    listed = shown.out.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == [
        *("run", "approve", "status", "doctor", "predict", "features", "replay", "rollback", "routing"),
        *("data", "snapshots", "models"),
    ]


def test_generated_data_is_a_dataset_once_per_seed(mlops: Mlops) -> None:
    generate = ("data", "generate", "credit_risk", "--rows", "50", "--seed", "7")
    assert mlops(*generate) == Outcome(0, "dataset 1 of credit_risk: 50 rows\n", "")
    assert mlops(*generate) == Outcome(0, "dataset 1 of credit_risk: 50 rows, which was there already\n", "")
    (listed,) = json.loads(mlops("data", "list", "credit_risk", "--json").out)
    assert (listed["version"], listed["rows"], listed["source"]) == (1, 50, "generated-50-rows-seed-7.csv")
    header, row = mlops("data", "list", "credit_risk").out.splitlines()
    assert header.split() == ["version", "rows", "arrived_at", "source", "sha256"]
    assert row.split()[:2] == ["1", "50"]


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        (
            ("data", "list", "credit_rsk"),
            "there is no use case 'credit_rsk'",
            "did you mean 'credit_risk'? the use cases are credit_risk",
        ),
        (
            ("snapshots", "rollback", "credit_risk"),
            "credit_risk has no snapshot before the published one",
            "see which there are with `mlops snapshots list credit_risk`",
        ),
        (
            ("snapshots", "rollback", "credit_risk", "--to", "s9"),
            "credit_risk has no snapshot 's9'; published: none yet",
            "name one of these, or run the features DAG",
        ),
    ],
)
def test_an_error_is_one_line_with_its_remedy(mlops: Mlops, arguments: tuple[str, ...], what: str, remedy: str) -> None:
    assert mlops(*arguments) == Outcome(1, "", f"error: {what}. Remedy: {remedy}\n")


def test_a_wrong_file_is_refused(mlops: Mlops, tmp_path: Path) -> None:
    wrong = tmp_path / "loans.csv"
    wrong.write_text("loan_id,id\n1,2\n", encoding="utf-8")
    shown = mlops("data", "add", "credit_risk", str(wrong))
    assert shown.code == 1
    assert shown.err.startswith("error: ")
    assert "Remedy: " in shown.err
    assert mlops("data", "list", "credit_risk", "--json").out == "[]\n"


@pytest.mark.parametrize("arguments", [("features", "--snapshot", "s"), ("training", "--dry-run")])
def test_an_option_of_the_other_pipeline_is_refused(mlops: Mlops, arguments: tuple[str, ...]) -> None:
    shown = mlops("run", "credit_risk", *arguments)
    assert shown.code == 2
    assert "belong to the" in shown.err


def test_a_started_run_is_named_for_a_script(mlops: Mlops, server: ScriptedServer) -> None:
    server.on("POST", "/auth/token", {"access_token": "t"})
    dag = "/api/v2/dags/credit_risk_features"
    server.on("GET", dag, {})
    server.on("POST", f"{dag}/dagRuns", {"dag_id": "credit_risk_features", "dag_run_id": "f1", "state": "queued"})
    shown = mlops("run", "credit_risk", "features", "--dataset-version", "2", "--dry-run", "--no-wait", "--json")
    assert json.loads(shown.out) == {"dag_id": "credit_risk_features", "run_id": "f1", "state": "queued"}
    assert server.asked[-1].body["conf"] == {"dataset_version": 2, "dry_run": True}


def test_a_prediction_is_the_services_answer(mlops: Mlops, server: ScriptedServer) -> None:
    server.on("GET", "/v1/credit_risk/predict/5008804", {"id": "5008804", "prediction": 0})
    assert json.loads(mlops("predict", "5008804").out) == {"id": "5008804", "prediction": 0}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (404, "ask for an id that the published snapshot holds; see `mlops snapshots list credit_risk`"),
        (422, "correct the id"),
        (503, "publish a snapshot and a champion with `mlops run credit_risk features`"),
    ],
)
def test_a_refusal_of_the_service_has_a_remedy(mlops: Mlops, server: ScriptedServer, status: int, remedy: str) -> None:
    server.on("GET", "/v1/credit_risk/features/a%2Fb", {"detail": "no a/b"}, status=status)
    shown = mlops("features", "a/b", "--use-case", "credit_risk")
    assert shown == Outcome(1, "", f"error: the prediction service answered {status}: no a/b. Remedy: {remedy}\n")


@pytest.mark.parametrize("arguments", [("rollback", "credit_risk"), ("routing", "credit_risk"), ("replay", "a1")])
def test_administration_without_a_token_says_where_it_comes_from(mlops: Mlops, arguments: tuple[str, ...]) -> None:
    assert mlops(*arguments) == Outcome(
        1,
        "",
        "error: no admin token for the prediction service is set. "
        "Remedy: set MLOPS_SERVING_ADMIN_TOKEN in .env, or run ./start.sh, which makes one\n",
    )


def test_a_prediction_service_that_is_down_is_named(
    mlops: Mlops, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SERVING_PORT", str(unused_port))
    shown = mlops("predict", "5008804")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith(f"error: the prediction service does not answer at http://127.0.0.1:{unused_port} (")
    assert shown.err.endswith("Remedy: see which services run with `mlops status`; start them with ./start.sh\n")


def test_an_answer_that_differs_when_replayed_is_shown_and_fails(
    mlops: Mlops, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SERVING_ADMIN_TOKEN", "t")
    answer = {
        "position": 0,
        "id": None,
        "variant": "challenger",
        "served": False,
        "model_version": "2",
        "features_from": "log",
        "same": False,
        "recorded": {"prediction": 0, "probability": 0.25},
        "replayed": {"prediction": 1, "probability": 0.75},
    }
    server.on("GET", "/admin/replay/a1", {"request_id": "a1", "answers": [answer]})
    assert mlops("replay", "a1") == Outcome(
        1,
        "row 0 (challenger, version 2, not served; features from the log): prediction 0, probability 0.25; "
        "NOT the same again: prediction 1, probability 0.75\n",
        "",
    )
    assert server.asked[-1].authorization == "Bearer t"


def test_snapshots_are_listed_newest_first_with_the_published_one_marked(
    mlops: Mlops, settings: PlatformSettings
) -> None:
    publish(settings, "s1", day=1)
    publish(settings, "s2", day=2)
    assert mlops("snapshots", "list", "credit_risk").out == (
        "published  snapshot  dataset_version  rows  entities  created_at\n"
        "*          s2        1                20    7         2026-01-02 03:04\n"
        "-          s1        1                20    7         2026-01-01 03:04\n"
    )


def test_a_rollback_moves_hives_views_and_then_the_pointer(
    mlops: Mlops, settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def run_query(host: str, port: int, query: str, parameters: dict[str, object]) -> list[tuple[object, ...]]:
        current = Snapshots(Lake(settings.lake_root), "credit_risk").current()
        assert current is not None
        statements.append(f"{current.snapshot}: {query.split(' AS ', maxsplit=1)[0]}")
        return []

    monkeypatch.setattr("mlops_platform.online_store.hive.run_query", run_query)
    publish(settings, "s1", day=1)
    publish(settings, "s2", day=2)
    shown = mlops("snapshots", "rollback", "credit_risk")
    assert shown == Outcome(0, "published is s1 of dataset 1\n", "")
    assert statements == [
        "s2: CREATE VIEW IF NOT EXISTS features.credit_risk_current",
        "s2: ALTER VIEW features.credit_risk_current",
        "s2: CREATE VIEW IF NOT EXISTS features.credit_risk_latest",
        "s2: ALTER VIEW features.credit_risk_latest",
    ]
    current = Snapshots(Lake(settings.lake_root), "credit_risk").current()
    assert current is not None
    assert current.snapshot == "s1"


def test_models_are_listed_with_their_aliases(mlops: Mlops, server: ScriptedServer) -> None:
    model = {"registered_model": {"name": "credit_risk", "aliases": [{"alias": "champion", "version": "2"}]}}
    server.on("GET", "/api/2.0/mlflow/registered-models/get", model)
    found = [{"version": "2", "creation_timestamp": 1767323045000, "tags": [{"key": "family", "value": "forest"}]}]
    server.on("GET", "/api/2.0/mlflow/model-versions/search", {"model_versions": found})
    assert mlops("models", "list", "credit_risk").out == (
        "version  aliases   family  created_at\n2        champion  forest  2026-01-02 03:04\n"
    )


def test_status_shows_services_and_what_is_published() -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    note = "rejected: version 4\n- roc_auc is too low"
    runs = (RunStatus("credit_risk_training", "t1", "success", at, note),)
    use_case = UseCaseStatus("credit_risk", 2, "s2", 20, 7, at, "3", runs)
    services = (ServiceStatus("mlflow", usable=True), ServiceStatus("serving", usable=False))
    assert status_text(Status(services, (use_case,))) == (
        "service\n"
        "mlflow   ready\n"
        "serving  DOWN\n"
        "\n"
        "credit_risk\n"
        "  dataset    2\n"
        "  snapshot   s2\n"
        "  published  2026-01-02 03:04\n"
        "  rows       20\n"
        "  entities   7\n"
        "  champion   3\n"
        "  last run   credit_risk_training: success, 2026-01-02 03:04 (t1)\n"
        "      rejected: version 4\n"
        "      - roc_auc is too low"
    )
