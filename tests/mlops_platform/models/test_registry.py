"""The registry's client against a scripted server, and against a real MLflow."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mlops_platform.errors import ModelError
from mlops_platform.models import registry as registry_module
from mlops_platform.models.registry import CHAMPION, ModelRegistry, ModelVersion, RegistryDown
from mlops_platform.settings import PlatformSettings
from tests.scripted_server import ScriptedServer

GET_MODEL = "/api/2.0/mlflow/registered-models/get"
ABSENT = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model with name=credit_risk not found"}


@pytest.fixture
def scripted(settings: PlatformSettings) -> Iterator[ModelRegistry]:
    with ModelRegistry(settings.mlflow_url) as registry:
        yield registry


def test_versions_come_newest_first_with_their_aliases(server: ScriptedServer, scripted: ModelRegistry) -> None:
    aliases = [{"alias": "champion", "version": "2"}]
    server.on("GET", GET_MODEL, {"registered_model": {"name": "credit_risk", "aliases": aliases}})
    found = [
        {
            "version": "2",
            "creation_timestamp": 1767323045000,
            "run_id": "r2",
            "tags": [{"key": "family", "value": "random_forest"}],
        },
        {"version": "10", "creation_timestamp": 1767323045000},
    ]
    server.on("GET", "/api/2.0/mlflow/model-versions/search", {"model_versions": found})
    created = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert scripted.versions("credit_risk") == [
        ModelVersion("credit_risk", "10", created),
        ModelVersion("credit_risk", "2", created, "r2", ("champion",), {"family": "random_forest"}),
    ]


def test_before_the_first_training_there_is_nothing(server: ScriptedServer, scripted: ModelRegistry) -> None:
    server.on("GET", GET_MODEL, ABSENT, status=404)
    server.on("GET", "/api/2.0/mlflow/model-versions/search", {})
    assert scripted.versions("credit_risk") == []
    assert scripted.alias("credit_risk", CHAMPION) is None


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (
            500,
            {"error_code": "INTERNAL_ERROR", "message": "database is locked"},
            "MLflow answered 500 to registered-models/get: database is locked",
        ),
        # a program that knows nothing of models: its 404 does not say that there is no model
        (404, {"detail": "Not Found"}, "MLflow answered 404 to registered-models/get: no message"),
        (200, "<html>", "registered-models/get: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_registry_that_fails_is_down(
    server: ScriptedServer, scripted: ModelRegistry, status: int, body: object, found: str
) -> None:
    server.on("GET", GET_MODEL, body, status=status)
    with pytest.raises(RegistryDown) as caught:
        scripted.alias("credit_risk", CHAMPION)
    assert str(caught.value) == (
        f"MLflow's registry at http://127.0.0.1:{server.port} does not answer ({found}). "
        "Remedy: see that it runs: mlops status"
    )


def test_a_registry_that_is_gone_is_down(unused_port: int) -> None:
    with (
        ModelRegistry(f"http://127.0.0.1:{unused_port}") as registry,
        pytest.raises(RegistryDown, match=r"^MLflow's registry at http://127.0.0.1:\d+ does not answer \("),
    ):
        registry.aliases()


@pytest.fixture
def registry(mlflow_url: str) -> Iterator[ModelRegistry]:
    with ModelRegistry(mlflow_url) as registry:
        yield registry


def registered(mlflow_url: str, registry: ModelRegistry, name: str, files: dict[str, bytes], folder: Path) -> str:
    """The number of a version whose model folder has these files."""
    client = MlflowClient(tracking_uri=mlflow_url)
    experiment = client.get_experiment_by_name(name)
    run = client.create_run(experiment.experiment_id if experiment else client.create_experiment(name))
    for file, content in files.items():
        (folder / file).write_bytes(content)
    client.log_artifacts(run.info.run_id, str(folder), "model")
    registry.create_model(name)
    source = f"{run.info.artifact_uri}/model"
    return registry.create_version(name, source, run.info.run_id, {"family": "forest"}).version


def test_aliases_tags_and_versions_of_a_real_registry(mlflow_url: str, registry: ModelRegistry, tmp_path: Path) -> None:
    first = registered(mlflow_url, registry, "one", {"a": b"1"}, tmp_path)
    second = registered(mlflow_url, registry, "one", {"a": b"2"}, tmp_path)
    registered(mlflow_url, registry, "two", {"a": b"3"}, tmp_path)
    registry.set_alias("one", "champion", first)
    registry.set_alias("one", "best", first)
    registry.set_tag("one", second, "verdict", "accepted")
    assert registry.aliases() == {"one": {"champion": first, "best": first}, "two": {}}
    assert [(found.version, sorted(found.aliases), found.tags) for found in registry.versions("one")] == [
        (second, [], {"family": "forest", "verdict": "accepted"}),
        (first, ["best", "champion"], {"family": "forest"}),
    ]
    champion = registry.alias("one", "champion")
    assert champion is not None
    assert champion == registry.version("one", first)
    registry.delete_tag("one", second, "verdict")
    registry.delete_tag("one", second, "verdict")
    assert registry.version("one", second).tags == {"family": "forest"}
    registry.delete_alias("one", "champion")
    registry.delete_alias("one", "champion")
    assert registry.alias("one", "champion") is None


def test_every_page_is_read(
    mlflow_url: str, registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_module, "_VERSIONS_PER_PAGE", 2)
    monkeypatch.setattr(registry_module, "_MODELS_PER_PAGE", 1)
    made = [registered(mlflow_url, registry, "many", {"a": b"1"}, tmp_path) for _ in range(5)]
    assert [found.version for found in registry.versions("many")] == list(reversed(made))
    registry.create_model("more")
    registry.create_model("more")
    assert {"many", "more"} <= registry.aliases().keys()


def test_what_is_not_there_is_no_reason_to_ask_again(mlflow_url: str, registry: ModelRegistry, tmp_path: Path) -> None:
    version = registered(mlflow_url, registry, "some", {"a": b"content"}, tmp_path)
    with pytest.raises(ModelError) as caught:
        registry.version("some", "99")
    assert str(caught.value) == (
        f"some has no model version 99; registered: {version}. Remedy: name one of these, or train first"
    )
    with pytest.raises(ModelError, match="Parameter 'version' must be an integer, got 'x'"):
        registry.version("some", "x")
    with pytest.raises(ModelError, match=r"Model Version \(name=nothing, version=1\) not found"):
        registry.set_alias("nothing", "champion", "1")
    target = tmp_path / "copy"
    registry.download("some", version, "a", target)
    assert target.read_bytes() == b"content"
    with pytest.raises(ModelError, match=rf"the registry does not have b of some version {version} \(HTTP 404\)"):
        registry.download("some", version, "b", target)
    with pytest.raises(ModelError, match="some version 99"):
        registry.download("some", "99", "a", target)
