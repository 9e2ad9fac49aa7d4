"""Credit risk: what was known of a customer on the day of each loan."""

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

MILLIONTHS = 1_000_000


def compute(raw: DataFrame, run_date: dt.date) -> DataFrame:
    """The features of every loan, as they stood on its ``loan_date``.

    Grain: one row per loan. Nothing depends on ``run_date``, on the order of the rows, or on later loans; the mean is
    the same to the last bit however the rows are partitioned, because amounts are summed as whole millionths.
    """
    loans = raw.select(
        "loan_id",
        "id",
        "loan_date",
        F.unix_date("loan_date").alias("loan_day"),
        full_years("birthday", "loan_date").alias("age"),
        F.when(F.col("job_start_date") <= F.col("loan_date"), full_years("job_start_date", "loan_date")).alias(
            "years_on_the_job"
        ),
        F.rint(F.col("loan_amount") * MILLIONTHS).cast("bigint").alias("millionths"),
        F.when(F.col("flag_own_car") == "Y", 1).when(F.col("flag_own_car") == "N", 0).alias("flag_own_car"),
        "status",
    )
    # both windows share their partitioning and order: the rows are shuffled once and sorted once
    by_customer = Window.partitionBy("id").orderBy(F.col("loan_day").asc_nulls_last())
    # whole days before the loan's own day: loans of one day do not see one another
    earlier_days = by_customer.rangeBetween(Window.unboundedPreceding, -1)
    all_days = by_customer.rangeBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    seen = loans.select(
        "*",
        F.count("*").over(earlier_days).alias("previous"),
        F.sum("millionths").over(earlier_days).alias("previous_millionths"),
        F.max(F.struct("loan_day", "loan_id")).over(all_days).alias("last"),
    )
    return seen.select(
        "loan_id",
        "id",
        "loan_date",
        "age",
        "years_on_the_job",
        F.col("previous").cast("int").alias("nb_previous_loans"),
        # null where there is no previous loan: the sum over no rows is null
        (F.col("previous_millionths") / (F.col("previous") * MILLIONTHS)).alias("avg_amount_loans_previous"),
        "flag_own_car",
        "status",
        (F.col("last.loan_id") == F.col("loan_id")).cast("int").alias("is_latest"),
    )


def full_years(start: str, end: str) -> Column:
    """Anniversaries of ``start`` up to and including ``end``; negative where ``end`` comes first.

    One born on 29 February is a year older on 1 March of a year that has no such day.
    """
    # 2019-02-01 reads as 20190201: the difference in ten thousands is the difference in years, less one while the
    # month and the day are still to come
    return F.floor((_digits(end) - _digits(start)) / 10_000).cast("int")


def _digits(day: str) -> Column:
    return F.year(day) * 10_000 + F.month(day) * 100 + F.dayofmonth(day)
