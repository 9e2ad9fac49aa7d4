"""Exercises what the platform's JVMs do, so that the JVM writes the classes it loaded to an archive as it ends.

Touches: a session with Hive's catalog and an embedded metastore, a CSV read, windows, parquet written and read, and
HiveServer2. All of it in a temporary folder.
"""

import tempfile
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F


def exercise(folder: Path) -> None:
    """Runs Spark through its paces in ``folder``."""
    session = (
        SparkSession.builder.appName("class-archive")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .config("spark.local.dir", str(folder))
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.serializer", "org.apache.spark.serializer.KryoSerializer")
        .config("spark.ui.enabled", "false")
        .config("spark.hadoop.hive.metastore.uris", "")
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:;databaseName={folder}/db;create=true")
        .config("spark.hadoop.hive.server2.thrift.port", "0")
        .enableHiveSupport()
        .getOrCreate()
    )
    rows = session.range(1000).selectExpr("id", "id % 7 AS customer", "date'2020-01-01' AS day", "rand(1) AS amount")
    rows.write.option("header", True).csv(str(folder / "csv"))
    schema = "id BIGINT, customer INT, day DATE, amount DOUBLE"
    loans = session.read.schema(schema).csv(str(folder / "csv"), header=True)
    earlier = Window.partitionBy("customer").orderBy("id").rowsBetween(Window.unboundedPreceding, -1)
    features = loans.select("*", F.avg("amount").over(earlier).alias("average"), F.lit("1").alias("snapshot"))
    features.write.partitionBy("snapshot").parquet(str(folder / "features"))
    session.sql(
        "CREATE EXTERNAL TABLE features (id BIGINT, customer INT, average DOUBLE) PARTITIONED BY (snapshot STRING) "
        f"STORED AS PARQUET LOCATION '{folder}/features'"
    )
    session.sql("MSCK REPAIR TABLE features")
    session.sql("CREATE VIEW latest AS SELECT customer, max(id) AS id FROM features GROUP BY customer")
    session.sql("SELECT f.* FROM features f JOIN latest USING (id)").collect()
    jvm: Any = session._jvm
    jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2.startWithContext(
        session._jsparkSession.sqlContext()
    ).stop()
    session.stop()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        exercise(Path(temporary))
