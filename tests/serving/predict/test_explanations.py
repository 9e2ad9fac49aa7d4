"""What a row is compared with to explain it."""

import contextlib

import numpy as np
import pytest

from mlops_platform.lake.lake import Lake
from mlops_platform.online_store.embedded import EmbeddedStore
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from tests.serving.conftest import Serve, Trained
from tests.serving.installation import publish_snapshot, random_inputs

pytestmark = pytest.mark.anyio


async def test_the_base_is_the_mean_of_fifty_rows_from_all_over_the_snapshot(
    serve: Serve, installation: PlatformSettings, credit_risk: UseCase, forest: Trained
) -> None:
    inputs = random_inputs(np.random.default_rng(7), 1000)
    whole = {feature.name for feature in credit_risk.features if feature.type == "int"}
    rows = {
        str(5_000_000 + at): FeatureRow(
            str(5_000_000 + at),
            None,
            {
                name: None if np.isnan(value) else int(value) if name in whole else float(value)
                for name, value in zip(credit_risk.feature_names, values, strict=True)
            },
        )
        for at, values in enumerate(inputs)
    }
    manifest = publish_snapshot(installation, credit_risk, "many", rows.values())
    file = Lake(installation.lake_root).local_copy(manifest.online_path, installation.state_dir / "copy.lmdb", None)
    with contextlib.closing(EmbeddedStore(file, "many")) as store:
        background = [int(row.entity_id) - 5_000_000 for row in store.background]
    async with serve(installation) as (client, _):
        found = (await client.get("/v1/credit_risk/explain/5000000")).json()
    probabilities = forest.pipeline.predict_proba(inputs)[:, 1]
    assert len(set(background)) == 50
    assert found["base_probability"] == pytest.approx(probabilities[background].mean(), abs=1e-9)
