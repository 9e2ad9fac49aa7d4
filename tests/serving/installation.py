"""An installation as the features and training DAGs would leave it: real snapshots, real models, no platform."""

import contextlib
import datetime as dt
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from mlops_platform.files import file_sha256
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.models.manifest import ModelManifest, manifest_sha256, sha256
from mlops_platform.models.registry import CHALLENGER, CHAMPION
from mlops_platform.online_store.embedded import EmbeddedStore, build
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.online_store.redis import RedisPublisher
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.follow.last_good import LastGoodFile
from serving.model import Registration
from serving.paths import serving_paths
from training.compiled import compile_pipeline, describe
from training.estimators import tabular_builders

THRESHOLD = 0.5
REGISTERED_AT = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

ROWS = (
    FeatureRow(
        "5008804",
        dt.date(2020, 11, 2),
        {
            "age": 31,
            "years_on_the_job": 12,
            "nb_previous_loans": 9,
            "avg_amount_loans_previous": 153.12,
            "flag_own_car": 1,
        },
    ),
    FeatureRow(
        "5008805",
        dt.date(2019, 2, 28),
        {
            "age": 67,
            "years_on_the_job": None,
            "nb_previous_loans": 0,
            "avg_amount_loans_previous": None,
            "flag_own_car": None,
        },
    ),
    FeatureRow(
        "5008806",
        dt.date(2020, 12, 30),
        {
            "age": 45,
            "years_on_the_job": 0,
            "nb_previous_loans": 40,
            "avg_amount_loans_previous": 0.1 + 0.2,
            "flag_own_car": 0,
        },
    ),
)


def fit(use_case: UseCase, family: str, seed: int, **parameters: object) -> Pipeline:
    """A model of a made-up relation between the credit-risk features and the label."""
    draw = np.random.default_rng(seed)
    rows = 2_000
    inputs = random_inputs(draw, rows)
    risk = np.nan_to_num(inputs[:, 2], nan=30.0) / 60 + draw.normal(0, 0.3, rows)
    return tabular_builders(use_case)[family](parameters, seed).fit(inputs, (risk > 0.6).astype(int))


def random_inputs(draw: np.random.Generator, rows: int) -> np.ndarray:
    """The credit-risk features of so many rows, in the spec's order, a tenth of them null."""
    inputs = np.column_stack(
        [
            draw.integers(20, 70, rows),
            draw.integers(0, 40, rows),
            draw.integers(0, 60, rows),
            draw.gamma(4, 32, rows),
            draw.integers(0, 2, rows),
        ]
    ).astype(np.float64)
    inputs[draw.random(inputs.shape) < 0.1] = np.nan
    return inputs


def write_model(folder: Path, use_case: UseCase, pipeline: Pipeline, family: str, transform: str | None = None) -> str:
    """A model folder as training writes it. Returns the sha256 of its manifest."""
    folder.mkdir(parents=True)
    contents = {
        "model.joblib": b"not read by the service",
        "model.onnx": compile_pipeline(pipeline, use_case),
        "metrics.json": json.dumps({"holdout": {"roc_auc": 0.61}}).encode(),
        "gate.json": b"{}",
        "model_card.md": b"# A model\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = ModelManifest(
        use_case=use_case.name,
        family=family,
        run_id="0" * 32,
        snapshot="first",
        spec_hash=use_case.spec_hash,
        transform=transform,
        features=use_case.feature_names,
        label=use_case.label.name,
        threshold=THRESHOLD,
        seed=use_case.seed,
        parameters={},
        compiled=describe(use_case),
        libraries={},
        git_sha="0" * 40,
        files={name: sha256(content) for name, content in contents.items()},
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json(indent=2))
    return manifest_sha256(folder)


def keep_model(settings: PlatformSettings, use_case: str, version: str, model: Path, *, alias: str) -> None:
    """Leave a model as the service keeps those that it has loaded."""
    paths, digest = serving_paths(settings), manifest_sha256(model)
    shutil.copytree(model, paths.models(use_case) / digest)
    kept = Registration(version=version, manifest_sha256=digest, registered_at=REGISTERED_AT)
    last_good = LastGoodFile(paths.last_good(use_case), paths.models(use_case), paths.snapshots(use_case))
    last_good.note(None, kept if alias == CHAMPION else None, kept if alias == CHALLENGER else None)


def publish_snapshot(
    settings: PlatformSettings,
    use_case: UseCase,
    snapshot: str,
    rows: Iterable[FeatureRow] = ROWS,
    *,
    created_at: dt.datetime | None = None,
    transform: str | None = None,
) -> SnapshotManifest:
    """Publish a snapshot with these rows in its online store, in Redis too if there is one."""
    lake = Lake(settings.lake_root)
    snapshots = Snapshots(lake, use_case.name)
    attempt = snapshots.claim(snapshot)
    online_key = snapshots.online_key(snapshot, attempt)
    with lake.scratch() as folder:
        online = folder / "online.lmdb"
        entities, digest = build(online, rows), file_sha256(online)
        if settings.online_store_url is not None:
            publisher = RedisPublisher(settings.online_store_url.get_secret_value())
            with contextlib.closing(EmbeddedStore(online, snapshot)) as store:
                publisher.fill(use_case.name, snapshot, attempt, store.encoded_rows())
        lake.add(online_key, online)
    manifest = SnapshotManifest(
        snapshot=snapshot,
        use_case=use_case.name,
        attempt=attempt,
        dataset_version=1,
        run_date=dt.date(2021, 1, 1),
        created_at=created_at or dt.datetime.now(dt.UTC),
        spec_hash=use_case.spec_hash,
        transform=transform,
        rows=entities,
        entities=entities,
        features_path=snapshots.features_key(snapshot, attempt),
        online_path=online_key,
        online_sha256=digest,
        quality=Quality(rows_read=entities, rows_valid=entities, rows_quarantined=0),
    )
    with snapshots.publishing(snapshot, attempt):
        snapshots.publish(manifest)
    return manifest
