"""What is asked where the lake is: here, or in a container, with the same answers."""

import json
from typing import Any

import pytest

from mlops_platform.errors import PlatformError
from mlops_platform.online_store import hive
from mlops_platform.services.doctor import Finding
from mlops_platform.settings import PlatformSettings
from stack.bare.docker import CommandFailed
from stack.chaos import evidence
from tests.manifests import model_manifest, publish_manifest
from tests.scripted_server import ScriptedServer


def test_a_question_is_answered_here_where_the_lake_is_here(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "examine_data", lambda _settings, _now: [Finding("hive", "it is away", "wait")])
    assert evidence.ask(settings, evidence.disagreements) == ["hive: it is away"]


@pytest.fixture
def containers(settings: PlatformSettings) -> PlatformSettings:
    return settings.model_copy(update={"mode": "docker"})


def test_under_compose_it_is_answered_in_the_container_that_has_the_lake(
    containers: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def docker(*arguments: str, **options: Any) -> str:
        asked.append((arguments, options["folder"]))
        return json.dumps({"a1": 1})

    monkeypatch.setattr(evidence, "docker", docker)
    assert evidence.ask(containers, evidence.logged, "credit_risk", "12.5") == {"a1": 1}
    command = ("python", "-m", "stack.chaos.evidence", "logged", "credit_risk", "12.5")
    compose = ("compose", "--file", "docker-compose.yml", "exec", "-T", "airflow-scheduler")
    assert asked == [((*compose, *command), containers.project_root)]


@pytest.mark.parametrize("answer", [CommandFailed("it is restarting", remedy=""), "no JSON"])
def test_a_container_that_does_not_answer_is_an_error_that_passes(
    containers: PlatformSettings, monkeypatch: pytest.MonkeyPatch, answer: Exception | str
) -> None:
    def docker(*_: str, **__: Any) -> str:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(evidence, "docker", docker)
    with pytest.raises(PlatformError, match="airflow-scheduler does not answer"):
        evidence.ask(containers, evidence.disagreements)


def test_inside_the_answer_is_json_and_an_error_a_status(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evidence, "load_settings", lambda: settings)
    monkeypatch.setattr(evidence, "examine_data", lambda _settings, _now: [])
    assert evidence.main("disagreements") == 0
    assert json.loads(capsys.readouterr().out) == []
    assert evidence.main("ids", "credit_risk", "5") == 1
    assert "credit_risk has no published snapshot" in capsys.readouterr().err


def test_rows_are_counted_by_request_from_a_moment_on(
    settings: PlatformSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run_query(_host: str, _port: int, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        asked.append((query, parameters))
        return [("a1", 1), ("a2", 2)]

    monkeypatch.setattr(hive, "run_query", run_query)
    assert evidence.logged(settings, "credit_risk", "12.500") == {"a1": 1, "a2": 2}
    counted = "SELECT request_id, COUNT(*) FROM predictions.credit_risk"
    recent = "WHERE served AND `time` >= timestamp_seconds(%(since)s) GROUP BY request_id"
    assert asked == [(f"{counted} {recent}", {"since": 12.5})]


def test_a_snapshot_that_was_never_published_fits_nothing(settings: PlatformSettings, server: ScriptedServer) -> None:
    assert evidence.unfit(settings, "credit_risk", "3@s1") == {"3@s1": "no such snapshot was published"}
    assert server.asked == []


def test_a_model_fits_snapshots_of_the_definition_that_it_was_trained_on(
    settings: PlatformSettings, server: ScriptedServer
) -> None:
    for snapshot, spec_hash in (("s1", "a" * 64), ("s2", "b" * 64)):
        publish_manifest(settings, snapshot, spec_hash=spec_hash)
    model = model_manifest(snapshot="s1", spec_hash="a" * 64)
    server.on("GET", "/model-versions/get-artifact", model.model_dump_json())
    assert evidence.unfit(settings, "credit_risk", "3@s1", "3@s2") == {
        "3@s2": "the model was trained on features of another definition"
    }
