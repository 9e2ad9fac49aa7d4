"""Credit risk: what was known of a customer on the day of each loan."""

import datetime as dt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

UNITS = (2.0**-12, 2.0**-54, 2.0**-96, 2.0**-138)
"""What the parts of an amount are counted in. A double is a sum of powers of two, so it is split without any loss."""


def compute(raw: DataFrame, run_date: dt.date) -> DataFrame:
    """The features of every loan, as they stood on its ``loan_date``.

    Grain: one row per loan. Nothing depends on ``run_date``, on the order of the rows, or on later loans.

    The mean is within 1e-15 of the exact one, relatively, and the same to the last bit however the rows are ordered and
    partitioned: what is summed is whole numbers of ``UNITS``. All digits of an amount from 1e-25 up are in them. A
    customer may have two million loans of 1e9; a sum beyond that is an error.
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
        *(part.alias(name) for name, part in parts("loan_amount").items()),
        F.when(F.col("flag_own_car") == "Y", 1).when(F.col("flag_own_car") == "N", 0).alias("flag_own_car"),
        "status",
    )
    by_customer = Window.partitionBy("id").orderBy(F.col("loan_day").asc_nulls_last())
    # whole days before the loan's own day: loans of one day do not see one another
    earlier_days = by_customer.rangeBetween(Window.unboundedPreceding, -1)
    seen = loans.select(
        "*",
        F.count("*").over(earlier_days).alias("previous"),
        *(F.sum(name).over(earlier_days).alias(f"previous_{name}") for name in parts("loan_amount")),
    )
    return seen.select(
        "loan_id",
        "id",
        "loan_date",
        "age",
        "years_on_the_job",
        F.col("previous").cast("int").alias("nb_previous_loans"),
        # null where there is no previous loan: the sum over no rows is null
        (total("previous_") / F.col("previous")).alias("avg_amount_loans_previous"),
        "flag_own_car",
        "status",
    )


def parts(amount: str) -> dict[str, Column]:
    """What an amount is the sum of, by name: whole numbers of each unit, below 2**42, and what is too small for them.

    Its sum over many loans is exact, save that of the rest, which is zero for any amount that a loan has.
    """
    above, split = F.col(amount), {}
    for number, unit in enumerate(UNITS):
        # floor before the cast: Spark's truncates, DuckDB's rounds
        split[f"units_{number}"] = F.floor(above / unit).cast("bigint")
        above = F.col(amount) % unit
    return split | {"rest": above}


def total(prefix: str) -> Column:
    """The sum of sums of :func:`parts`, whose names have this prefix; the smallest first, so that none is lost."""
    result = F.col(f"{prefix}rest")
    for number, unit in reversed(list(enumerate(UNITS))):
        result = result + F.col(f"{prefix}units_{number}") * unit
    return result


def full_years(start: str, end: str) -> Column:
    """Anniversaries of ``start`` up to and including ``end``; negative where ``end`` comes first.

    One born on 29 February is a year older on 1 March of a year that has no such day.
    """
    # 2019-02-01 reads as 20190201: the difference in ten thousands is the difference in years, less one while the
    # month and the day are still to come
    return F.floor((_digits(end) - _digits(start)) / 10_000).cast("int")


def _digits(day: str) -> Column:
    return F.year(day) * 10_000 + F.month(day) * 100 + F.dayofmonth(day)
