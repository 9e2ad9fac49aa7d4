"""Fixtures of the whole suite: tests lie in ``tests/`` and beside each use case."""

pytest_plugins = (
    "tests.distribution",
    "tests.fixtures",
    "tests.scripted_server",
    "tests.scripted_airflow",
    "tests.mlflow_server",
    "tests.spark",
)
