"""Formulas as transforms have them, each a column: what Spark and the compiled form have to agree on."""

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def compute(raw: DataFrame, run_date: dt.date) -> DataFrame:
    """One row per raw row: ``row`` and a column for each formula."""
    by_day = Window.partitionBy("who").orderBy("day", "row")
    newest = Window.partitionBy("who").orderBy(F.desc("day"), F.desc("row"))
    others = Window.partitionBy("who")
    second = F.when(F.col("text").contains(", "), F.split("text", ", ").getItem(1))
    named = raw.select("*", second.alias("second"), (F.col("number") * 3).alias("tripled"))
    return named.select(
        "row",
        F.col("number").cast("int").alias("truncated"),
        (-F.col("number")).cast("long").alias("truncated_long"),
        F.round("number", 2).alias("rounded"),
        F.round("number").alias("rounded_to_whole"),
        F.round(F.col("number") / 3, 4).alias("rounded_third"),
        F.round("whole").cast("double").alias("rounded_whole"),
        F.log1p(F.col("number")).alias("log1p"),
        F.log1p("number").alias("log1p_of_a_name"),
        F.log1p(F.col("number") / 1e9).alias("log1p_of_little"),
        F.expm1(F.col("number") / 1e9).alias("expm1_of_little"),
        F.log("number").alias("log"),
        F.log10("number").alias("log10"),
        F.log2("number").alias("log2"),
        F.exp(F.col("number") / 1000).alias("exp"),
        F.when(F.col("number") >= 0, F.sqrt("number")).alias("sqrt"),
        F.abs("number").alias("abs"),
        F.floor("number").cast("int").alias("floor"),
        F.ceil("number").cast("int").alias("ceil"),
        (F.col("whole") * 0.1).alias("tenth"),
        (F.col("whole") * 0.1 * 10 == F.col("whole")).cast("int").alias("tenth_compared"),
        (F.col("whole") / 3).alias("third"),
        (F.col("whole") % 3).alias("rest"),
        F.when(F.col("text") == "Miss", 1).otherwise(0.5).alias("case"),
        F.coalesce("number", F.lit(-1.5)).alias("filled"),
        F.greatest("whole", F.col("long").cast("int")).alias("greatest"),
        F.least("whole", F.lit(2)).alias("least"),
        F.length("text").alias("length"),
        F.regexp_extract("text", r" ([A-Za-z]+)\.", 1).alias("title"),
        F.regexp_replace("text", "[0-9]+", "#").alias("replaced"),
        F.col("text").rlike("^M.*[.]$").cast("int").alias("matches"),
        F.col("second").alias("second"),
        F.size(F.split("text", " ")).alias("words"),
        F.substring("text", 1, 1).alias("first_letter"),
        F.concat("text", F.lit("!"), "who").alias("concatenated"),
        F.concat_ws("-", "text", "who").alias("joined"),
        F.upper("text").alias("upper"),
        F.trim("text").alias("trimmed"),
        F.col("text").contains(",").cast("int").alias("contains"),
        F.col("text").isin("Miss", "Mrs").cast("int").alias("is_in"),
        F.col("text").isNull().cast("int").alias("is_null"),
        F.col("text").eqNullSafe("Miss").cast("int").alias("null_safe"),
        F.year("day").alias("year"),
        F.month("day").alias("month"),
        F.dayofweek("day").alias("day_of_week"),
        F.weekofyear("day").alias("week"),
        F.datediff("day", F.lit(dt.date(2020, 2, 29))).alias("days_since"),
        F.datediff(F.lit(run_date), "day").alias("days_until_run"),
        F.add_months("day", 1).alias("a_month_later"),
        F.date_add("day", 30).alias("thirty_days_later"),
        F.date_sub("day", F.col("whole") % 5).alias("days_before"),
        F.last_day("day").alias("last_day"),
        F.date_format("day", "yyyy-MM").alias("year_and_month"),
        F.row_number().over(by_day).alias("number_in_order"),
        F.row_number().over(newest).alias("number_from_newest"),
        F.lag("number").over(by_day).alias("before"),
        F.lead("whole").over(by_day).alias("after"),
        F.avg("number").over(by_day.rowsBetween(-2, -1)).alias("mean_of_two"),
        F.sum("whole").over(by_day.rowsBetween(Window.unboundedPreceding, -1)).alias("sum_before"),
        F.max("number").over(others).alias("largest"),
        F.stddev("number").over(others).alias("spread"),
        F.count("text").over(others).alias("texts"),
        F.avg("tripled").over(others).alias("mean_of_tripled"),
    )
