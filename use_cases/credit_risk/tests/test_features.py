"""The features of credit risk: edge cases with their full expected output, and what must change nothing."""

import csv
import datetime as dt
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.errors import ArithmeticException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from mlops_platform.use_case.spec import HIVE_TYPES, UseCase
from use_cases.credit_risk.features import compute
from use_cases.credit_risk.synthetic import generate

TODAY = dt.date(2021, 1, 1)
SCHEMA = (
    "loan_id BIGINT, id BIGINT, birthday DATE, job_start_date DATE, loan_date DATE, loan_amount DOUBLE, "
    "flag_own_car STRING, status INT"
)
BORN, EMPLOYED = "1988-11-04", "2009-04-11"


def day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def loans(spark: SparkSession, *rows: tuple[Any, ...]) -> DataFrame:
    """Rows of (loan_id, id, birthday, job start, loan date, amount, car)."""
    typed = [
        (loan, who, day(born), day(job), day(lent), amount, car, 0) for loan, who, born, job, lent, amount, car in rows
    ]
    return spark.createDataFrame(typed, SCHEMA)


def features(raw: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in compute(raw, TODAY).orderBy("loan_id").select("loan_id", *columns).collect()]


def everything(raw: DataFrame, today: dt.date = TODAY) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in compute(raw, today).orderBy("loan_id").collect()]


def test_the_columns_are_those_of_the_spec(spark: SparkSession, credit_risk: UseCase) -> None:
    computed = compute(loans(spark, (1, 7, BORN, EMPLOYED, "2019-02-01", 100.0, "Y")), TODAY)

    assert [(name, kind.upper()) for name, kind in computed.dtypes] == [
        (name, HIVE_TYPES[kind]) for name, kind in credit_risk.computed_table
    ]


def test_one_loan_only(spark: SparkSession) -> None:
    raw = loans(spark, (1, 7, BORN, EMPLOYED, "2019-02-01", 100.0, "Y"))

    assert everything(raw) == [(1, 7, dt.date(2019, 2, 1), 30, 9, 0, None, 1, 0)]


def test_loans_of_the_first_day_do_not_see_one_another(spark: SparkSession) -> None:
    raw = loans(
        spark,
        (3, 7, BORN, EMPLOYED, "2019-02-01", 100.0, "Y"),
        (1, 7, BORN, EMPLOYED, "2019-02-01", 300.0, "Y"),
        (2, 7, BORN, EMPLOYED, "2019-02-02", 500.0, "Y"),
        (9, 8, BORN, EMPLOYED, "2019-02-03", 700.0, "Y"),
    )

    assert features(raw, "id", "nb_previous_loans", "avg_amount_loans_previous") == [
        (1, 7, 0, None),
        (2, 7, 2, 200.0),
        (3, 7, 0, None),
        (9, 8, 0, None),
    ]


def test_each_of_several_loans_on_the_last_day_has_those_before_it(spark: SparkSession) -> None:
    raw = loans(
        spark,
        (12, 7, BORN, EMPLOYED, "2019-02-01", 100.0, "Y"),
        (10, 7, BORN, EMPLOYED, "2019-03-01", 200.0, "Y"),
        (11, 7, BORN, EMPLOYED, "2019-03-01", 400.0, "Y"),
    )

    assert features(raw, "nb_previous_loans", "avg_amount_loans_previous") == [
        (10, 1, 100.0),
        (11, 1, 100.0),
        (12, 0, None),
    ]


@pytest.mark.parametrize(
    ("born", "lent", "age"),
    [
        ("1988-11-04", "2019-11-03", 30),
        ("1988-11-04", "2019-11-04", 31),
        ("1988-11-04", "2019-11-05", 31),
        ("1988-12-31", "2019-01-01", 30),
        ("1988-02-29", "2019-02-28", 30),
        ("1988-02-29", "2019-03-01", 31),
        ("1988-02-29", "2020-02-28", 31),
        ("1988-02-29", "2020-02-29", 32),
        ("2019-02-01", "2019-02-01", 0),
        ("2019-02-02", "2019-02-01", -1),
    ],
)
def test_age_counts_birthdays_reached(spark: SparkSession, born: str, lent: str, age: int) -> None:
    assert features(loans(spark, (1, 7, born, EMPLOYED, lent, 100.0, "Y")), "age") == [(1, age)]


def test_years_on_the_job_are_null_without_a_job_on_that_day(spark: SparkSession) -> None:
    raw = loans(
        spark,
        (1, 7, BORN, "3021-09-18", "2019-02-01", 100.0, "Y"),  # the source's mark
        (2, 7, BORN, "2019-02-02", "2019-02-01", 100.0, "Y"),  # a job that began the day after
        (3, 7, BORN, "2019-02-01", "2019-02-01", 100.0, "Y"),
        (4, 7, BORN, None, "2019-02-01", 100.0, "Y"),
        (5, 7, BORN, "2009-02-02", "2019-02-01", 100.0, "Y"),
        (6, 7, BORN, "2009-02-01", "2019-02-01", 100.0, "Y"),
    )

    assert features(raw, "years_on_the_job") == [(1, None), (2, None), (3, 0), (4, None), (5, 9), (6, 10)]


AMOUNTS = {
    "sums that no double has": [0.1, 0.2, 0.3, 0.7, 1.1],
    "large beside small": [1e9, 1e-9, 1e9, 3e-9, 999_999_999.999_999_9],
    "small alone": [1e-9, 1e-15, 1.1e-15, 1e-24],
    "nothing": [0.0, 0.0],
    "the smallest that there are": [5e-324, 1e-323, 2.2250738585072014e-308, 5e-324],
    "far below any amount": [1e-30, 1e-100, 1e-300],
    "all digits": [random.Random(1).uniform(0, 10.0 ** random.Random(n).randint(-9, 9)) for n in range(300)],
}


def test_means_are_exact_and_the_same_to_the_last_bit_under_any_order(spark: SparkSession) -> None:
    days = [dt.date(2019, 1, 1) + dt.timedelta(days=n) for n in range(300)]
    rows = [
        (1000 * who + n, who, BORN, EMPLOYED, days[n].isoformat(), amount, "Y")
        for who, amounts in enumerate(AMOUNTS.values())
        for n, amount in enumerate(amounts)
    ]
    exact = {
        1000 * who + n: float(sum(map(Fraction, amounts[:n])) / n)
        for who, amounts in enumerate(AMOUNTS.values())
        for n in range(1, len(amounts))
    }

    raw = loans(spark, *rows)
    found = dict(features(raw, "avg_amount_loans_previous"))

    for loan, mean in exact.items():
        assert found[loan] == pytest.approx(mean, rel=1e-15, abs=0), loan
    # one day for all: what comes after them is the mean of all, in whatever order they were added
    same_day = [(*row[:4], "2019-02-01", *row[5:]) for row in rows]
    later = [(10**6 + who, who, BORN, EMPLOYED, "2019-02-02", 1.0, "Y") for who in range(len(AMOUNTS))]
    orders = []
    for seed in range(4):
        shuffled = random.Random(seed).sample(same_day + later, len(same_day + later))
        computed = features(loans(spark, *shuffled).repartition(seed + 1), "avg_amount_loans_previous")
        orders.append([(loan, mean.hex()) for loan, mean in computed if loan >= 10**6])
    assert orders == [orders[0]] * 4
    means = [float(sum(map(Fraction, amounts)) / len(amounts)) for amounts in AMOUNTS.values()]
    assert [float.fromhex(mean) for _, mean in orders[0]] == pytest.approx(means, rel=1e-15, abs=0)


def test_amounts_beyond_what_can_be_summed_are_an_error(spark: SparkSession) -> None:
    raw = loans(spark, *[(n, 7, BORN, EMPLOYED, f"2019-02-0{n}", 2.0**50, "Y") for n in (1, 2, 3, 4)])

    with pytest.raises(ArithmeticException, match="overflow"):
        features(raw, "avg_amount_loans_previous")


def test_car_flag(spark: SparkSession) -> None:
    cars = ["Y", "N", None]
    raw = loans(spark, *[(n, 7, BORN, EMPLOYED, "2019-02-01", 100.0, car) for n, car in enumerate(cars)])

    assert features(raw, "flag_own_car") == [(0, 1), (1, 0), (2, None)]


def test_real_rows_give_their_known_features(spark: SparkSession, real_data: Path) -> None:
    with (real_data / "credit_risk" / "golden_raw.csv").open(encoding="utf-8") as file:
        rows = [
            (
                int(r["loan_id"]),
                int(r["id"]),
                r["birthday"],
                r["job_start_date"],
                r["loan_date"],
                float(r["loan_amount"]),
                r["flag_own_car"],
            )
            for r in csv.DictReader(file)
        ]
    with (real_data / "credit_risk" / "golden_features.csv").open(encoding="utf-8") as file:
        expected = {
            int(r["loan_id"]): (int(r["nb_previous_loans"]), float(r["avg_amount_loans_previous"] or "nan"))
            for r in csv.DictReader(file)
        }

    found = {
        n: (count, mean)
        for n, count, mean in features(loans(spark, *rows), "nb_previous_loans", "avg_amount_loans_previous")
    }

    assert {n: count for n, (count, _) in found.items()} == {n: count for n, (count, _) in expected.items()}
    for n, (_, mean) in expected.items():
        assert (found[n][1] if found[n][1] is not None else float("nan")) == pytest.approx(mean, abs=1e-6, nan_ok=True)


@pytest.fixture(scope="module")
def many(spark: SparkSession) -> DataFrame:
    """A thousand loans, several of one customer on one day among them."""
    return spark_frame(spark, generate(1_000, seed=3)).cache()


def spark_frame(spark: SparkSession, table: pa.Table) -> DataFrame:
    return spark.createDataFrame(table)


def test_neither_order_nor_partitioning_nor_the_day_changes_anything(many: DataFrame) -> None:
    expected = everything(many)

    assert everything(many.orderBy(F.rand(seed=1))) == expected
    assert everything(many.repartition(7, "loan_amount")) == expected
    assert everything(many.coalesce(1)) == expected
    assert everything(many, dt.date(2031, 12, 31)) == expected


def test_later_loans_change_no_earlier_row(many: DataFrame) -> None:
    until = dt.date(2020, 3, 1)
    history = [row for row in everything(many) if row[2] < until]

    assert history
    assert everything(many.where(F.col("loan_date") < until)) == history


def test_one_shuffle_by_customer_serves_all_windows(many: DataFrame) -> None:
    plan = compute(many, TODAY)._jdf.queryExecution().sparkPlan().toString()
    executed = compute(many, TODAY)._jdf.queryExecution().executedPlan().toString()

    assert executed.count("Exchange") == 1
    assert "Exchange hashpartitioning(id#" in executed
    assert executed.count("Sort [") == 1
    assert "Python" not in plan


def test_an_independent_computation_differs_in_no_row(spark: SparkSession, tmp_path: Path) -> None:
    table = generate(100_000, seed=11)
    compute(spark_frame(spark, table), TODAY).write.parquet((tmp_path / "features").as_uri())
    database = duckdb.connect()
    database.register("loans", table)
    # DuckDB's own date_sub() takes 28 February for the anniversary of the 29th; the definition says 1 March
    database.execute(
        """
        CREATE MACRO full_years(since, until) AS
            (year(until) - year(since) - ((month(until), day(until)) < (month(since), day(since)))::INT)::INT
        """
    )
    # the same definitions by other means: a self-join instead of windows, decimals instead of whole powers of two
    database.execute(
        """
        CREATE TABLE expected AS
        WITH days AS (
            SELECT id, loan_date, count(*) AS n, sum(loan_amount::DECIMAL(18, 6)) AS total FROM loans GROUP BY ALL
        ), before AS (
            SELECT d.id, d.loan_date, sum(e.n) AS n, sum(e.total) AS total
            FROM days d JOIN days e ON d.id = e.id AND e.loan_date < d.loan_date GROUP BY ALL
        )
        SELECT
            l.loan_id, l.id, l.loan_date,
            full_years(l.birthday, l.loan_date) AS age,
            CASE WHEN l.job_start_date <= l.loan_date
                THEN full_years(l.job_start_date, l.loan_date) END AS years_on_the_job,
            coalesce(b.n, 0)::INT AS nb_previous_loans,
            b.total::DOUBLE / b.n AS avg_amount_loans_previous,
            CASE l.flag_own_car WHEN 'Y' THEN 1 WHEN 'N' THEN 0 END::INT AS flag_own_car,
            l.status::INT AS status
        FROM loans l LEFT JOIN before b ON l.id = b.id AND l.loan_date = b.loan_date
        """
    )
    found = f"(SELECT * FROM read_parquet('{tmp_path}/features/*.parquet'))"

    but_the_mean = "* EXCLUDE (avg_amount_loans_previous), avg_amount_loans_previous IS NULL"
    differing = database.sql(
        f"FROM (SELECT {but_the_mean} FROM expected EXCEPT ALL SELECT {but_the_mean} FROM {found})"
    ).fetchall()
    # the decimals have the six digits that the amounts were written with; a double is no further than this from them
    furthest = database.sql(
        f"""
        SELECT max(abs(f.avg_amount_loans_previous / e.avg_amount_loans_previous - 1))
        FROM expected e JOIN {found} f USING (loan_id)
        """
    ).fetchall()

    assert database.sql(f"SELECT count(*) FROM {found}").fetchall() == [(100_000,)]
    assert differing == []
    assert furthest[0][0] < 1e-15
