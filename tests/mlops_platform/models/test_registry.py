import datetime as dt

import pytest

from mlops_platform.models.registry import ModelVersion, RegistryError, version_by_alias, versions
from mlops_platform.settings import PlatformSettings
from tests.scripted_server import ScriptedServer

GET_MODEL = "/api/2.0/mlflow/registered-models/get"
ABSENT = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Registered Model with name=credit_risk not found"}


def test_versions_come_newest_first_with_their_aliases(server: ScriptedServer, settings: PlatformSettings) -> None:
    aliases = [{"alias": "champion", "version": "2"}]
    server.on("GET", GET_MODEL, {"registered_model": {"name": "credit_risk", "aliases": aliases}})
    found = [
        {"version": "2", "creation_timestamp": 1767323045000, "tags": [{"key": "family", "value": "random_forest"}]},
        {"version": "10", "creation_timestamp": 1767323045000},
    ]
    server.on("GET", "/api/2.0/mlflow/model-versions/search", {"model_versions": found})
    created = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert versions(settings, "credit_risk") == [
        ModelVersion("10", created),
        ModelVersion("2", created, ("champion",), {"family": "random_forest"}),
    ]
    assert version_by_alias(settings, "credit_risk") == "2"
    assert version_by_alias(settings, "credit_risk", "challenger") is None


def test_before_the_first_training_there_is_nothing(server: ScriptedServer, settings: PlatformSettings) -> None:
    server.on("GET", GET_MODEL, ABSENT, status=404)
    assert versions(settings, "credit_risk") == []
    assert version_by_alias(settings, "credit_risk") is None


def test_a_registry_that_fails_or_is_gone_is_an_error(
    server: ScriptedServer, settings: PlatformSettings, unused_port: int
) -> None:
    server.on("GET", GET_MODEL, {"error_code": "INTERNAL_ERROR", "message": "database is locked"}, status=500)
    with pytest.raises(RegistryError) as caught:
        versions(settings, "credit_risk")
    assert caught.value.what == "MLflow answered 500 to registered-models/get: database is locked"
    with pytest.raises(RegistryError, match=r"^MLflow does not answer at http://127.0.0.1:\d+ \("):
        versions(settings.model_copy(update={"mlflow_port": unused_port}), "credit_risk")
