"""A use case of several classes and one of numbers, on data that scikit-learn carries, trained and published."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_diabetes, load_wine

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.models.manifest import ModelManifest, read
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import find_use_cases, get_use_case
from mlops_platform.use_case.spec import UseCase
from tests.serving.installation import keep_model, publish_snapshot
from tests.training.small_snapshots import write_parquet
from training import train
from training.job import from_hyperparameters
from training.verdict import TrainingVerdict

IDS = [10, 100, 150]
"""Three rows, of wine each of another class; the second with a null."""


@dataclass(frozen=True)
class TrainedUseCase:
    """A use case, the rows it was trained on, and what training left."""

    use_case: UseCase
    rows: pd.DataFrame
    models: Path
    verdict: TrainingVerdict

    def manifest(self, family: str) -> ModelManifest:
        return read(self.models / family)

    def expected(self, family: str) -> np.ndarray:
        """What scikit-learn's pipeline says of the rows :data:`IDS`."""
        pipeline = joblib.load(io.BytesIO((self.models / family / "model.joblib").read_bytes()))
        rows = self.rows.loc[IDS, list(self.use_case.feature_names)]
        has_strings = any(feature.type == "string" for feature in self.use_case.features)
        inputs = rows if has_strings else rows.to_numpy(dtype=np.float64)
        found: np.ndarray = (
            pipeline.predict(inputs) if self.use_case.task == "regression" else pipeline.predict_proba(inputs)
        )
        return found

    @cached_property
    def features(self) -> list[dict[str, Any]]:
        """The rows :data:`IDS` as a request has them."""
        rows = self.rows.loc[IDS, list(self.use_case.feature_names)].to_dict("records")
        return [{str(name): None if pd.isna(value) else value for name, value in row.items()} for row in rows]

    def install(self, settings: PlatformSettings, family: str) -> PlatformSettings:
        """An installation with these rows in its snapshot and this family's model as the champion."""
        stored = [FeatureRow(str(one), None, row) for one, row in zip(IDS, self.features, strict=True)]
        publish_snapshot(settings, self.use_case, "first", stored)
        keep_model(settings, self.use_case.name, "1", self.models / family, alias="champion")
        return settings.model_copy(
            update={"serving_default_use_case": self.use_case.name, "serving_log_bound_seconds": 0.0}
        )


@pytest.fixture(scope="session")
def further_use_cases() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_USE_CASES", str(Path(__file__).parent / "use_cases"))
        find_use_cases.cache_clear()
        yield
    find_use_cases.cache_clear()


@pytest.fixture(scope="session")
def wine(further_use_cases: None, tmp_path_factory: pytest.TempPathFactory) -> TrainedUseCase:
    data = load_wine(as_frame=True)
    use_case = get_use_case("wine")
    rows = data.frame.assign(grape=np.array(use_case.label.classes)[data.target])
    rows.loc[100, "malic_acid"] = np.nan
    rows.loc[7, "grape"] = None  # not learnt from
    return _trained(use_case, rows, tmp_path_factory.mktemp("wine"))


@pytest.fixture(scope="session")
def diabetes(further_use_cases: None, tmp_path_factory: pytest.TempPathFactory) -> TrainedUseCase:
    data = load_diabetes(as_frame=True)
    rows = data.frame.assign(progress=data.target, sex=np.where(data.frame.sex > 0, "m", "f"))
    rows.loc[100, "bp"] = np.nan
    return _trained(get_use_case("diabetes"), rows, tmp_path_factory.mktemp("diabetes"))


def _trained(use_case: UseCase, rows: pd.DataFrame, folder: Path) -> TrainedUseCase:
    named = rows.assign(is_latest=1)
    named[use_case.row_key] = rows.index
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in use_case.feature_table])
    snapshot = write_parquet(folder / "snapshot", pa.Table.from_pandas(named[schema.names], schema=schema))
    job = from_hyperparameters({"use_case": use_case.name, "snapshot": "first", "run_id": "run-1"})
    return TrainedUseCase(use_case, rows, folder / "models", train.run(job, snapshot, folder / "models", None))
