"""A Spark session with a Hive metastore of its own, and small raw tables."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from mlops_platform.use_case.spec import UseCase

LOAN = {
    "loan_id": 1,
    "id": 7,
    "code_gender": "F",
    "flag_own_car": "Y",
    "flag_own_realty": "N",
    "cnt_children": 0,
    "amt_income_total": 120000.0,
    "name_income_type": "Working",
    "name_education_type": "Higher education",
    "name_family_status": "Married",
    "name_housing_type": "House / apartment",
    "days_birth": -12000,
    "days_employed": -4000,
    "flag_mobil": 1,
    "flag_work_phone": 0,
    "flag_phone": 0,
    "flag_email": 1,
    "occupation_type": "",
    "cnt_fam_members": 2.0,
    "status": 0,
    "birthday": "1988-11-04",
    "job_start_date": "2009-04-11",
    "loan_date": "2019-02-01",
    "loan_amount": 100.0,
}

WriteLoans = Callable[..., Path]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Two cores, Hive's catalog in memory."""
    folder = tmp_path_factory.mktemp("spark")
    session = (
        SparkSession.builder.master("local[2]")
        .appName("tests")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.warehouse.dir", (folder / "warehouse").as_uri())
        .config("spark.local.dir", str(folder / "local"))
        # the job's code for the rows is compiled once for all tests, and not evicted by that of others
        .config("spark.sql.codegen.cache.maxEntries", "5000")
        .config(
            "spark.driver.extraJavaOptions",
            f"-Dderby.system.home={folder} -XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        )
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", "jdbc:derby:memory:hive;create=true")
        .config("spark.hadoop.datanucleus.schema.autoCreateAll", "true")
        .config("spark.hadoop.hive.metastore.schema.verification", "false")
        .enableHiveSupport()
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def hive(spark: SparkSession) -> Iterator[SparkSession]:
    """The session, with no database of features before the test or after it."""
    spark.sql("DROP DATABASE IF EXISTS features CASCADE")
    yield spark
    spark.sql("DROP DATABASE IF EXISTS features CASCADE")


@pytest.fixture
def write_loans(tmp_path: Path, credit_risk: UseCase) -> WriteLoans:
    """Writes a CSV with one line for each dict of what differs from an ordinary loan; None is an empty field."""

    def write(*loans: dict[str, Any], name: str = "loans.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, credit_risk.raw_columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(LOAN | loan for loan in loans)
        return path

    return write
