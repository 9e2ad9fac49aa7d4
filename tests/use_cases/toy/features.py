"""Features of the toy use case."""

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def compute(raw: DataFrame, run_date: date) -> DataFrame:
    """One row per throw. ``run_date`` is not needed: a throw is told by the throws before it."""
    of_the_coin = Window.partitionBy("coin").orderBy("thrown_on", "throw_id")
    return raw.select(
        "throw_id",
        "coin",
        "thrown_on",
        (F.row_number().over(of_the_coin) - 1).alias("throws_before"),
        "weight",
        "heads",
    )
