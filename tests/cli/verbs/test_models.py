"""``mlops models``."""

from tests.cli.conftest import Mlops
from tests.scripted_server import ScriptedServer


def test_models_are_listed_with_their_aliases(mlops: Mlops, server: ScriptedServer) -> None:
    model = {"registered_model": {"name": "credit_risk", "aliases": [{"alias": "champion", "version": "2"}]}}
    server.on("GET", "/api/2.0/mlflow/registered-models/get", model)
    found = [{"version": "2", "creation_timestamp": 1767323045000, "tags": [{"key": "family", "value": "forest"}]}]
    server.on("GET", "/api/2.0/mlflow/model-versions/search", {"model_versions": found})
    assert mlops("models", "list", "credit_risk").out == (
        "version  aliases   family  created_at\n2        champion  forest  2026-01-02 03:04\n"
    )
