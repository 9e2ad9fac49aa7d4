"""A small snapshot of credit risk with a plain signal, and MLflow as training uses it."""

from pathlib import Path

import pytest

from mlops_platform.models.registry import ModelRegistry
from mlops_platform.use_case.spec import UseCase
from tests.training.small_snapshots import credit_risk_rows, write_parquet
from training.register import Registrar


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory: pytest.TempPathFactory, credit_risk: UseCase) -> Path:
    """A folder of parquet with a signal that both families find."""
    return write_parquet(tmp_path_factory.mktemp("lake") / "snapshot=first", credit_risk_rows(credit_risk))


@pytest.fixture(scope="session")
def random_snapshot(tmp_path_factory: pytest.TempPathFactory, credit_risk: UseCase) -> Path:
    """The same with labels that no feature tells anything of."""
    rows = credit_risk_rows(credit_risk, random_labels=True)
    return write_parquet(tmp_path_factory.mktemp("lake") / "snapshot=random", rows)


@pytest.fixture
def registrar(mlflow_url: str) -> Registrar:
    return Registrar(mlflow_url)


@pytest.fixture
def registry(registrar: Registrar) -> ModelRegistry:
    return registrar.registry
