"""Compiling a transform: what changes its fingerprint, what is mended, and what is refused and how that is told."""

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from mlops_platform.lake.types import ARROW_TYPES
from mlops_platform.transform import compile as compiling_process
from mlops_platform.transform.compile import TransformError, compile_transform, same_formulas
from mlops_platform.transform.compiled import CompiledTransform
from mlops_platform.transform.run import compute
from mlops_platform.use_case.spec import ColumnType, UseCase
from tests.mlops_platform.transform.compiling import IMPORTS, RAW, compiled, transform

TODAY = dt.date(2021, 1, 1)


def formula(text: str) -> str:
    return f'return raw.select("row", ({text}).alias("f"))'


def values(one: CompiledTransform, column: str, given: list[Any], today: dt.date = TODAY) -> list[Any]:
    """What ``f`` is for each of these values of a raw column."""
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in RAW])
    rows = [{"row": number, column: value} for number, value in enumerate(given)]
    return [row["f"] for row in compute(one, pa.Table.from_pylist(rows, schema), today).sort_by("row").to_pylist()]


def test_credit_risk_gives_the_features_of_its_definition(credit_risk: UseCase) -> None:
    one = compile_transform(credit_risk)
    schema = pa.schema([(column.name, ARROW_TYPES[column.type]) for column in credit_risk.raw])
    day = dt.date
    born, job = day(1988, 11, 4), day(2009, 4, 11)
    rows = [
        {"loan_id": 3, "id": 7, "birthday": born, "job_start_date": job, "loan_date": day(2019, 2, 1), "status": 0}
        | {"loan_amount": 100.0, "flag_own_car": "Y"},
        {"loan_id": 2, "id": 7, "birthday": born, "job_start_date": None, "loan_date": day(2019, 3, 1), "status": 1}
        | {"loan_amount": 500.0, "flag_own_car": "N"},
        {"loan_id": 1, "id": 7, "birthday": born, "job_start_date": job, "loan_date": day(2019, 2, 1), "status": 0}
        | {"loan_amount": 300.0, "flag_own_car": None},
    ]

    found = compute(one, pa.Table.from_pylist(rows, schema), TODAY).sort_by("loan_id").select(credit_risk.feature_names)

    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (30, 9, 0, None, None),
        (30, None, 2, 200.0, 0),
        (30, 9, 0, None, 1),
    ]
    assert [(field.name, field.type) for field in found.schema] == [
        (feature.name, ARROW_TYPES[feature.type]) for feature in credit_risk.features
    ]
    assert list(one.transform.sources) == ["__init__.py", "features.py"]
    assert same_formulas(one, compile_transform(credit_risk))


def test_a_comment_leaves_the_fingerprint_as_it_is_and_a_formula_changes_it() -> None:
    body = formula('F.col("number") + 1')
    one = compiled(transform(body))

    assert compiled(transform(f"# words\n    {body}")).fingerprint == one.fingerprint
    assert compiled(transform(formula('F.col("number") + 2'))).fingerprint != one.fingerprint


def test_a_raw_column_more_is_no_other_formula() -> None:
    one = compiled(transform(formula('F.col("number") + 1')))
    more: tuple[tuple[str, ColumnType], ...] = (*RAW, ("new", "string"))

    assert compiled(transform(formula('F.col("number") + 1'), raw=more)).fingerprint == one.fingerprint


def test_the_day_of_the_run_is_a_parameter() -> None:
    one = compiled(transform(formula('F.datediff(F.lit(run_date), "day").cast("double")')))

    assert one.takes_run_date
    assert values(one, "day", [dt.date(2020, 12, 31), None], dt.date(2021, 1, 3)) == [3.0, None]


LINE = "made_up: features.py, line 5: "
REFUSED = {
    'F.datediff(F.lit(run_date - dt.timedelta(30)), "day")': (
        "made_up: compute() of features.py counts with run_date in Python, so that each day would have another query. "
        "Remedy: count in columns: F.date_sub(F.lit(run_date), 30) instead of run_date - timedelta(30)"
    ),
    "F.rand()": f"{LINE}rand gives another value each time. Remedy: take something of the row that is spread as evenly",
    'F.expr("datediff(current_date(), day)")': (
        "made_up: features.py: current_date reads the clock. Remedy: use run_date: F.lit(run_date)"
    ),
    'F.hash("text")': f"{LINE}hash is another function in DuckDB. Remedy: use F.md5 or F.sha2",
    'F.months_between("day", "day")': (
        f"{LINE}months_between rounds to eight digits in Spark alone. Remedy: count in days: F.datediff"
    ),
    'F.length(F.col("number").cast("string"))': (
        f"{LINE}a double has another text in DuckDB (1.0E10 is 10000000000.0). Remedy: keep the number"
    ),
    'F.round("number", -1)': (f"{LINE}rounds to a number of digits that is not from 0 to 15. Remedy: give 0 to 15"),
    "F.udf(lambda x: x)": (
        f"{LINE}there is no udf for DuckDB. Remedy: write the formula with other functions of pyspark.sql; "
        "see docs/transforms.md"
    ),
    "1 / 0": f"{LINE}ZeroDivisionError: division by zero. Remedy: correct it",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_formula_that_cannot_be_compiled_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(TransformError) as refused:
        compiled(transform(formula(text)))
    assert str(refused.value) == REFUSED[text]


def test_what_comes_out_has_to_be_what_the_spec_says() -> None:
    with pytest.raises(TransformError) as refused:
        compiled(transform('return raw.select("row", "number")'))
    assert str(refused.value) == (
        "made_up: compute() of features.py returns row, number; its spec says row, f. Remedy: correct features.py, or "
        "the spec"
    )
    with pytest.raises(TransformError, match=r"compute\(\) of features.py returns int, no DataFrame"):
        compiled(transform("return 1"))


def test_what_duckdb_does_not_take_is_told_in_its_words() -> None:
    with pytest.raises(TransformError, match=r"a query that DuckDB does not take: Binder Error: .*nothing"):
        compiled(transform(formula('F.col("nothing")')))


def test_a_transform_that_prints_or_ends_python_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    printing = transform(formula('F.col("number")'), imports=f"{IMPORTS}print('hello')\n")
    assert "number" in compiling_process.compile_anew(printing).sql
    ending = transform(formula('F.col("number")'), imports="import os\nos._exit(3)\n")
    with pytest.raises(TransformError, match="the process that compiles the transform of made_up ended with 3"):
        compiling_process.compile_anew(ending)


def test_whole_numbers_out_of_text_are_those_of_spark() -> None:
    one = compiled(transform(formula('F.expr("try_cast(text as int)")'), columns=(("row", "long"), ("f", "int"))))

    assert values(one, "text", [" 7 ", "-3", "3.7", "1e3", "0x1", "", None]) == [7, -3, None, None, None, None, None]


def test_other_compilers_are_told_from_other_formulas() -> None:
    now = compiled(transform(formula('F.col("number") + 1')))
    kept = now.model_copy(update={"sql": "SELECT what an older compiler made", "compiler": {"sqlglot": "1"}})

    assert same_formulas(kept, now)
    assert not same_formulas(kept.model_copy(update={"transform": transform(formula('F.col("number") + 2'))}), now)
    assert not same_formulas(kept.model_copy(update={"compiler": now.compiler}), now)
    refused = kept.model_copy(update={"transform": transform(formula("F.rand()"))})
    assert not same_formulas(refused, now)


def test_what_comes_of_several_tables_is_mended_in_each_of_them() -> None:
    whole = 'select("row", F.col("number").cast("int").cast("double").alias("f"))'
    one = compiled(transform(f"return raw.where('row < 2').{whole}.union(raw.where('row >= 2').{whole})"))

    assert values(one, "number", [1.5, 2.5, 3.5, -0.5]) == [1.0, 2.0, 3.0, 0.0]


def test_names_keep_their_capitals() -> None:
    columns: tuple[tuple[str, ColumnType], ...] = (("Row", "long"), ("f", "string"))
    body = 'return raw.select("Row", F.upper("FullName").alias("f"))'
    one = compiled(transform(body, columns, raw=(("Row", "long"), ("FullName", "string"))))

    rows = pa.Table.from_pylist([{"Row": 1, "FullName": "Allen"}])
    assert compute(one, rows, TODAY).to_pylist() == [{"Row": 1, "f": "ALLEN"}]
