"""The job's Spark session; what holds for every job is in spark_jobs/conf/spark-defaults.conf."""

import math

from pyspark.sql import SparkSession

from mlops_platform.lake.datasets import PARQUET, DatasetManifest

BYTES_PER_PARTITION = 128 * 1024 * 1024
"""Of the raw text. A shuffle partition then takes some 30 MB: it is sorted in memory."""
PACKED_RATIO = 6
"""How many bytes of text one byte of gzip or Parquet stands for, about."""
EMPTY_RELATIONS = "org.apache.spark.sql.execution.adaptive.AQEPropagateEmptyRelation"


def open_session(name: str, partitions: int) -> SparkSession:
    """The session of a job of this name, which shuffles into so many partitions."""
    session = SparkSession.builder.appName(name).enableHiveSupport().getOrCreate()
    configure(session, partitions)
    return session


def configure(session: SparkSession, partitions: int) -> None:
    """What the job needs of its session, whatever the defaults are."""
    cores = session.sparkContext.defaultParallelism
    # as many partitions as the data needs, and no fewer than there are cores: nothing is left for Spark to merge
    session.conf.set("spark.sql.shuffle.partitions", max(partitions, cores))
    session.conf.set("spark.sql.adaptive.coalescePartitions.enabled", "false")
    # a time means the same wherever the job runs, and pyarrow reads it as it was written
    session.conf.set("spark.sql.session.timeZone", "UTC")
    session.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    # where no row is left, Spark would cut the plan short, and forget what it counted on the way
    session.conf.set("spark.sql.adaptive.optimizer.excludedRules", EMPTY_RELATIONS)


def shuffle_partitions(dataset: DatasetManifest) -> int:
    """Into how many partitions the rows of a dataset are shuffled."""
    size = sum(
        file.size_bytes * (PACKED_RATIO if file.file_name.endswith((".gz", PARQUET)) else 1) for file in dataset.files
    )
    return max(2, math.ceil(size / BYTES_PER_PARTITION))
