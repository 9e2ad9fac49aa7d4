"""A raw file has as many rows to Spark as were counted when it arrived."""

import gzip
from pathlib import Path

from pyspark.sql import SparkSession

from mlops_platform.lake.raw_file import count_rows
from mlops_platform.use_case.find import get_use_case
from spark_jobs.raw_rows import read_text

USE_CASE = get_use_case("credit_risk")
ROW = ",".join(["1"] * len(USE_CASE.raw_columns))
FIELDS = ['"w" hard', '"w" ', '"a"b"c"', '"q" "', 'w"i"g', '"a""b"', '"x" ', " "]
BROKEN = '"x\ny"'


def test_rows_are_counted_as_spark_reads_them(spark: SparkSession, tmp_path: Path) -> None:
    header = ",".join(USE_CASE.raw_columns)
    odd = [ROW.replace("1", field, 1) for field in FIELDS]
    whole = [header, "", *odd, " \t", ROW]
    broken = [*whole, ROW.replace("1", BROKEN, 1), ROW]
    files = {
        "lines": "\n".join(whole).encode(),
        "mixed_ends": ("\n".join(whole) + "\r\n" + ROW + "\r" + ROW).encode(),
        "broken": "\n".join(broken).encode(),
        "broken_crlf": "\r\n".join(broken).encode(),
    }
    files["broken_packed"] = gzip.compress(files["broken"][:300]) + gzip.compress(files["broken"][300:])
    counted, read = {}, {}
    for name, content in files.items():
        path = tmp_path / (f"{name}.csv.gz" if "packed" in name else f"{name}.csv")
        path.write_bytes(content)
        counted[name] = count_rows(path, name, USE_CASE.raw_columns)
        multiline = counted[name].multiline
        read[name] = read_text(spark, path.as_uri(), USE_CASE, USE_CASE.sources[0], multiline=multiline).count()
    assert {name: one.rows for name, one in counted.items()} == read
    assert [one.multiline for one in counted.values()] == [False, False, True, True, True]
