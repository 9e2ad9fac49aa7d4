"""The features of credit risk in Spark, pandas and DuckDB, side by side: seconds, memory, shuffles, equal results.

    python benchmarks/features.py --rows 777715 --runs 3

It needs what the tests need (requirements-dev.txt): DuckDB is a contestant, and compares what all of them wrote.

Contestants, each in a process of its own, started anew for every run, in turn:

``default``   Spark with everything on default: types inferred from the file, no validation, 200 shuffle partitions;
              PySpark without bytecode, as ``uv pip install`` leaves it
``bytecode``  the same, with the bytecode that the platform's installation compiles
``job``       the platform's feature job up to its parquet: explicit schema, every rule of the spec checked
``pandas``    the same definitions with a sort and cumulative sums
``duckdb``    the same definitions in SQL

*cold* is the whole process, from its start to its end; *session* and *first*, the work itself, are parts of it.
*warm* is the same work in a process that has done it twice. For Spark it is split: ``read`` is a run that stops after
reading (and judging) the rows, ``windows`` what computing the features takes beyond it, ``write`` what the parquet
takes beyond that.
"""

# ruff: noqa: PLC0415 - a contestant imports what it needs in its own process, and pays for nothing else

import argparse
import datetime as dt
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT_ROOT))

CONTESTANTS = ("default", "bytecode", "job", "pandas", "duckdb")
SPARK = ("default", "bytecode", "job")
RUN_DATE = dt.date(2021, 1, 1)
WARM_UPS = 2
Frames = Callable[[], tuple[Any, Any]]
"""Gives the rows read and the features, lazily."""

Work = Callable[[str], None]
"""Does the work up to a stage: ``read``, ``windows`` or ``write``."""


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(work: Work, stages: tuple[str, ...], runs: int) -> dict[str, float]:
    """``first`` is the first run, ``warm`` the median of later ones, split by the stages where there are several."""
    result = {"first": timed(lambda: work("write"))}
    if runs:
        for _ in range(WARM_UPS - 1):
            work("write")
        upto = {stage: statistics.median(timed(partial(work, stage)) for _ in range(runs)) for stage in stages}
        before = 0.0
        for stage in stages:
            result[stage] = max(0.0, upto[stage] - before)
            before = upto[stage]
        result["warm"] = upto[stages[-1]]
    return result


# --- the contestants: each runs in a child process and prints one line of JSON


def default_spark(source: Path) -> tuple[Any, Frames]:
    from pyspark.sql import SparkSession

    from mlops_platform.use_case.find import get_use_case
    from spark_jobs.features import with_latest
    from use_cases.credit_risk.features import compute

    spark = SparkSession.builder.master("local[2]").getOrCreate()

    def frames() -> tuple[Any, Any]:
        raw = spark.read.csv(f"file://{source}", header=True, inferSchema=True)
        return raw, with_latest(compute(raw, RUN_DATE), get_use_case("credit_risk"))

    return spark, frames


def job_spark(_: Path) -> tuple[Any, Frames]:
    from pyspark.sql import SparkSession

    from mlops_platform.lake.datasets import Datasets
    from mlops_platform.lake.lake import Lake
    from mlops_platform.settings import load_settings
    from mlops_platform.use_case.find import get_use_case
    from spark_jobs.feature_run import FeatureRun
    from spark_jobs.features import Features
    from spark_jobs.session import configure, shuffle_partitions

    spark = SparkSession.builder.getOrCreate()
    lake, use_case = Lake(load_settings().lake_root), get_use_case("credit_risk")
    dataset = Datasets(lake, use_case).get(0)
    configure(spark, shuffle_partitions(dataset))

    def frames() -> tuple[Any, Any]:
        features = Features(spark, lake, FeatureRun(use_case, dataset, "benchmark", RUN_DATE))
        judged = features.judge(thoroughly=False)
        return judged.valid, features.of(judged.valid)

    return spark, frames


def spark_contestant(name: str, source: Path, target: Path, runs: int) -> dict[str, Any]:
    started = time.perf_counter()
    spark, frames = (job_spark if name == "job" else default_spark)(source)
    session = time.perf_counter() - started
    spark.sparkContext.setLogLevel("ERROR")

    def work(stage: str) -> None:
        raw, features = frames()
        if stage == "write":
            features.write.mode("overwrite").parquet(f"file://{target}")
        else:
            (raw if stage == "read" else features).write.format("noop").mode("overwrite").save()

    result = {"session": session, **measure(work, ("read", "windows", "write"), runs)}
    if runs:  # not in a cold run: to plan once more takes its time
        plan = frames()[1]._jdf.queryExecution().executedPlan().toString()
        result["shuffles"] = plan.count("Exchange ")
    spark.stop()
    return result


# DuckDB's own date_sub() takes 28 February for the anniversary of the 29th; the definition says 1 March
FULL_YEARS = """
CREATE MACRO full_years(since, until) AS
    (year(until) - year(since) - ((month(until), day(until)) < (month(since), day(since)))::INT)::INT
"""
DUCKDB_SQL = """
WITH loans AS (
    FROM read_csv('{source}', header = true, auto_detect = false, nullstr = '', columns = {{{columns}}})
), seen AS (
    SELECT *,
        count(*) OVER earlier AS previous,
        sum(loan_amount) OVER earlier AS previous_amounts,
        row_number() OVER (PARTITION BY id ORDER BY loan_date DESC, loan_id DESC) AS from_last
    FROM loans
    WINDOW earlier AS (
        PARTITION BY id ORDER BY loan_date RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 DAY PRECEDING
    )
)
SELECT loan_id, id, loan_date,
    full_years(birthday, loan_date) AS age,
    CASE WHEN job_start_date <= loan_date THEN full_years(job_start_date, loan_date) END AS years_on_the_job,
    previous::INT AS nb_previous_loans,
    previous_amounts / previous AS avg_amount_loans_previous,
    CASE flag_own_car WHEN 'Y' THEN 1 WHEN 'N' THEN 0 END::INT AS flag_own_car,
    status::INT AS status,
    (from_last = 1)::INT AS is_latest
FROM seen
"""


def duckdb_contestant(source: Path, target: Path, runs: int) -> dict[str, Any]:
    import duckdb

    from mlops_platform.use_case.find import get_use_case

    types = {"int": "INT", "long": "BIGINT", "double": "DOUBLE", "string": "VARCHAR", "date": "DATE"}
    columns = ", ".join(f"'{c.name}': '{types[c.type]}'" for c in get_use_case("credit_risk").raw)
    database = duckdb.connect(config={"threads": 2})
    database.execute(FULL_YEARS)
    target.mkdir(exist_ok=True)
    query = DUCKDB_SQL.format(source=source, columns=columns)

    def work(_: str) -> None:
        database.execute(f"COPY ({query}) TO '{target}/features.parquet' (COMPRESSION zstd)")

    return measure(work, ("write",), runs)


def pandas_contestant(source: Path, target: Path, runs: int) -> dict[str, Any]:
    import pandas as pd

    target.mkdir(exist_ok=True)
    days = ["birthday", "job_start_date", "loan_date"]
    columns = ["loan_id", "id", "flag_own_car", "status", "loan_amount", *days]

    def digits(day: "pd.Series[Any]") -> "pd.Series[Any]":
        # the calendar of pandas ends in 2262: dates are read as text, 2019-02-01 as 20190201
        return pd.to_numeric(day.str.replace("-", ""))

    def work(_: str) -> None:
        raw = pd.read_csv(source, usecols=columns, dtype={"flag_own_car": "string"} | dict.fromkeys(days, "string"))
        raw = raw.sort_values(["id", "loan_date", "loan_id"], ignore_index=True)
        first = ~raw.duplicated(["id", "loan_date"])
        customer = raw.groupby("id")
        # what lies before the first loan of the day, for every loan of that day
        place = customer.cumcount().where(first).ffill().astype("int64")
        total = (customer.loan_amount.cumsum() - raw.loan_amount).where(first).ffill()
        lent, job = digits(raw.loan_date), digits(raw.job_start_date)
        worked = ((lent - job) // 10_000).where(job <= lent)
        features = pd.DataFrame(
            {
                "loan_id": raw.loan_id,
                "id": raw.id,
                "loan_date": pd.to_datetime(raw.loan_date).dt.date,
                "age": ((lent - digits(raw.birthday)) // 10_000).astype("int32"),
                "years_on_the_job": worked.astype("Int32"),
                "nb_previous_loans": place.astype("int32"),
                "avg_amount_loans_previous": (total / place).where(place > 0),
                "flag_own_car": raw.flag_own_car.map({"Y": 1, "N": 0}).astype("Int32"),
                "status": raw.status.astype("int32"),
                "is_latest": (~raw.duplicated("id", keep="last")).astype("int32"),
            }
        )
        features.to_parquet(target / "features.parquet", compression="zstd", index=False)

    return measure(work, ("write",), runs)


# --- the parent: starts them in turn, watches their memory, compares what they wrote


def run_child(name: str, source: Path, target: Path, runs: int, platform: dict[str, str]) -> dict[str, Any]:
    """One process of a contestant: what it printed, its wall time, CPU time and the peak memory of its process tree."""
    import psutil

    from mlops_platform.services.environment import JVM_EXECUTOR, JVM_QUICK_START

    given = ["--child", name, "--source", str(source), "--target", str(target), "--runs", str(runs)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    command = [sys.executable, __file__, *given]
    if name == "default":
        environment |= {"PYTHONPYCACHEPREFIX": str(target.parent / "no-bytecode"), "PYTHONDONTWRITEBYTECODE": "1"}
    if name == "job":
        environment |= platform
        # what an executor of the platform runs with (spark_jobs/conf/spark-defaults.conf); local mode has no other JVM
        options = f"{JVM_QUICK_START.format(archive=platform['MLOPS_CLASS_ARCHIVE'])} {JVM_EXECUTOR}"
        spark = ["--master", "local[2]", "--conf", "spark.sql.catalogImplementation=in-memory"]
        submit = PROJECT_ROOT / "spark_jobs" / "bin" / "spark-submit"
        command = [str(submit), *spark, "--driver-java-options", options, __file__, *given]
    started = time.perf_counter()
    child = psutil.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak, cpu = 0, {}
    while child.poll() is None:
        tree = 0
        for process in [child, *_children(child)]:
            try:
                tree += process.memory_info().rss
                times = process.cpu_times()
                cpu[process.pid] = times.user + times.system
            except psutil.Error:
                continue
        peak = max(peak, tree)
        time.sleep(0.05)
    wall = time.perf_counter() - started
    output, errors = child.communicate()
    if child.returncode:
        raise SystemExit(f"{name} failed:\n{output}\n{errors[-4000:]}")
    printed: dict[str, Any] = json.loads(output.splitlines()[-1])
    return printed | {"cold": wall, "cpu": sum(cpu.values()), "peak_mb": peak / 2**20}


def _children(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def platform_environment(folder: Path) -> dict[str, str]:
    """The environment of the platform's own Spark, with a class archive made for it in ``folder``."""
    base = os.environ | {"MLOPS_STATE_DIR": str(folder / "state")}
    shell = "bash spark_jobs/class_archive.sh >&2 && . mlops_platform/services/environment.sh && env -0"
    command = ["bash", "-c", shell]
    output = subprocess.run(command, cwd=PROJECT_ROOT, env=base, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(entry.split("=", 1) for entry in output.split("\0") if "=" in entry)


def add_dataset(lake_root: Path, source: Path) -> None:
    """The job reads what arrived in a lake."""
    from mlops_platform.lake.datasets import Datasets
    from mlops_platform.lake.lake import Lake
    from mlops_platform.use_case.find import get_use_case

    Datasets(Lake(lake_root), get_use_case("credit_risk")).add(source)


def differing_rows(one: Path, other: Path) -> int:
    """Loans that only one of them has, or whose features differ: means by more than the last digits of a double."""
    import duckdb

    mean = "avg_amount_loans_previous"
    rest = "id, loan_date::DATE, age, years_on_the_job, nb_previous_loans, flag_own_car, status, is_latest"
    first, second = (
        f"(SELECT loan_id, {mean}, row({rest}) AS rest FROM read_parquet('{path}/*.parquet'))" for path in (one, other)
    )
    query = f"""
        SELECT count(*) FROM {first} a FULL JOIN {second} b USING (loan_id)
        WHERE a.rest IS DISTINCT FROM b.rest OR (a.{mean} IS NULL) <> (b.{mean} IS NULL)
            OR abs(a.{mean} - b.{mean}) > 1e-12 * abs(a.{mean})
    """
    (count,) = duckdb.connect().execute(query).fetchall()[0]
    return int(count)


def report(rows: int, cold: dict[str, list[dict[str, Any]]], warm: dict[str, dict[str, Any]]) -> None:
    print(f"\n{rows:,} loans; medians; seconds, MB")
    head = ("", "cold", "CPU", "peak MB", "session", "first", "warm", "read", "windows", "write", "shuffles")
    print(("{:<9}" + "{:>9}" * (len(head) - 1)).format(*head))
    middle = {n: {k: statistics.median(r[k] for r in runs) for k in runs[0]} for n, runs in cold.items()}
    for name, m in middle.items():
        values = [m["cold"], m["cpu"], m["peak_mb"], m.get("session"), m["first"]]
        values += [warm.get(name, {}).get(part) for part in ("warm", "read", "windows", "write")]
        split = name in SPARK
        shown = [f"{v:.1f}" if v is not None and (i < 6 or split) else "-" for i, v in enumerate(values)]
        print(("{:<9}" + "{:>9}" * (len(head) - 1)).format(name, *shown, warm.get(name, {}).get("shuffles", "-")))
    for name, against in (("job", "default"), ("job", "bytecode"), ("job", "duckdb"), ("job", "pandas")):
        if name in middle and against in middle:
            ratio = middle[name]["cold"] / middle[against]["cold"]
            warmed = (
                f", warm {warm[name]['warm'] / warm[against]['warm']:.2f}" if name in warm and against in warm else ""
            )
            print(f"{name} / {against}: cold {ratio:.2f}{warmed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=777_715)
    parser.add_argument("--runs", type=int, default=3, help="cold processes of each, warm runs in one")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=CONTESTANTS)
    parser.add_argument("--no-warm", action="store_true", help="cold runs alone")
    for hidden in ("--child", "--source", "--target"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        contestants = {"pandas": pandas_contestant, "duckdb": duckdb_contestant}
        source, target = Path(given.source), Path(given.target)
        if given.child in contestants:
            result = contestants[given.child](source, target, given.runs)
        else:
            result = spark_contestant(given.child, source, target, given.runs)
        print(json.dumps(result))
        return

    if importlib.util.find_spec("duckdb") is None and (len(given.only) > 1 or "duckdb" in given.only):
        parser.error(
            "DuckDB, which computes and compares, is not installed. Remedy: `uv pip install -r requirements-dev.txt` "
            "(./test.sh does so too)"
        )
    from use_cases.credit_risk.synthetic import write_csv

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "loans.csv"
        write_csv(source, given.rows, seed=1)
        platform = platform_environment(folder) if "job" in given.only else {}
        if platform:
            add_dataset(Path(platform["MLOPS_STATE_DIR"]) / "lake", source)
        cold: dict[str, list[dict[str, Any]]] = {name: [] for name in given.only}
        for run in range(given.runs):
            for name in given.only:
                cold[name].append(run_child(name, source, folder / name, 0, platform))
                print(f"run {run + 1} {name}: {cold[name][-1]['cold']:.1f} s", file=sys.stderr)
        warm: dict[str, dict[str, Any]] = {}
        if not given.no_warm:
            warm = {name: run_child(name, source, folder / name, given.runs, platform) for name in given.only}
        report(given.rows, cold, warm)
        for name in given.only[1:]:
            print(f"{given.only[0]} and {name}: {differing_rows(folder / given.only[0], folder / name)} rows differ")


if __name__ == "__main__":
    main()
