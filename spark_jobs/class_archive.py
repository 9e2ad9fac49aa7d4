"""Exercises what the platform's JVMs do, so that the JVM writes the classes it loaded to an archive as it ends.

Touches: a session with Hive's catalog and an embedded metastore, the feature job from raw rows to Hive's views, and
HiveServer2. All of it in a temporary folder.
"""

import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.tables import latest_view
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.synthetic import generators, get_generator
from spark_jobs.feature_job import run_job
from spark_jobs.feature_run import FeatureRun
from spark_jobs.session import configure

ROWS = 1000


def exercise(folder: Path) -> None:
    """Runs Spark through its paces in ``folder``."""
    session = (
        SparkSession.builder.appName("class-archive")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.local.dir", str(folder))
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.ui.port", "0")
        .config("spark.hadoop.hive.metastore.uris", "")
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:;databaseName={folder}/db;create=true")
        .config("spark.hadoop.hive.server2.thrift.port", "0")
        .enableHiveSupport()
        .getOrCreate()
    )
    configure(session, partitions=2)
    use_case = get_use_case(generators()[0])
    raw = [folder / f"{source.name}.csv" for source in use_case.sources]
    get_generator(use_case.name).write_csv(*raw, rows=ROWS, seed=1)
    lake = Lake(folder / "lake")
    run = FeatureRun(use_case, Datasets(lake, use_case).add(*raw), "exercise", dt.date(2021, 1, 1))
    run_job(run, lake, 1, lambda _: session)
    session.table(latest_view(use_case)).collect()
    jvm: Any = session._jvm
    jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2.startWithContext(
        session._jsparkSession.sqlContext()
    ).stop()
    session.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        exercise(Path(temporary))
