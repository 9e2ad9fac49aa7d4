"""The real passengers and songs, through the whole job: nothing of them is lost, and what is odd of them is told."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from pyspark.sql import SparkSession

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import SnapshotManifest
from mlops_platform.use_case.find import get_use_case
from spark_jobs.feature_job import run_job
from spark_jobs.feature_run import FeatureRun
from spark_jobs.session import configure

Run = Callable[..., tuple[SnapshotManifest, dict[str, int]]]


@pytest.fixture
def run(hive: SparkSession, tmp_path: Path, real_data: Path) -> Run:
    """Runs the job on files of the use case's folder; returns the manifest, and how many nulls each column has."""

    def run_files(name: str, *files: str) -> tuple[SnapshotManifest, dict[str, int]]:
        configure(hive, partitions=2)
        lake, use_case = Lake(tmp_path / "lake"), get_use_case(name)
        dataset = Datasets(lake, use_case).add(*(real_data / name / file for file in files))
        manifest = run_job(FeatureRun(use_case, dataset, "r", dt.date(2021, 1, 1)), lake, 2, lambda _: hive)
        table = ds.dataset(tmp_path / "lake" / manifest.features_path, format="parquet").to_table()
        nulls = {column: table.column(column).null_count for column in table.column_names}
        return manifest, {column: count for column, count in nulls.items() if count}

    return run_files


def test_no_passenger_is_rejected(run: Run) -> None:
    manifest, nulls = run("titanic", "train.csv")

    assert (manifest.rows, manifest.entities, manifest.duplicates) == (891, 891, 111)
    assert manifest.quality.findings == ()
    assert nulls == {"age": 177, "embarked": 2}


def test_no_song_is_rejected_and_duplicates_stay(run: Run) -> None:
    manifest, nulls = run("song_genre", "data_reggaeton.csv", "data_todotipo.csv")

    assert (manifest.rows, manifest.entities, manifest.duplicates) == (2300, 2300, 83)
    assert manifest.quality.findings == ()
    assert nulls == {**dict.fromkeys(get_use_case("song_genre").feature_names, 8), "popularity": 1}
