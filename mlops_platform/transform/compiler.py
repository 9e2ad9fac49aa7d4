"""The process that compiles: a :class:`Transform` on its standard input, an :class:`Outcome` on its standard output.

PySpark's place is taken by sqlframe, so that ``compute`` builds a query instead of a plan of Spark's.
"""

import ast
import contextlib
import datetime as dt
import importlib
import importlib.metadata
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import sqlframe
from sqlframe.duckdb import DuckDBDataFrame, DuckDBSession
from sqlglot import exp

from mlops_platform.errors import PlatformError
from mlops_platform.files import file_sha256
from mlops_platform.transform import mending
from mlops_platform.transform.compile import Outcome, TransformError
from mlops_platform.transform.compiled import RAW, RUN_DATE, CompiledTransform, Transform
from mlops_platform.transform.engine import DUCKDB_TYPES, connect
from mlops_platform.transform.mending import Refused
from mlops_platform.use_case.find import PACKAGE

RUN_DATES = (dt.date(1904, 2, 29), dt.date(2203, 7, 31))
"""Two days that nobody writes into a formula: what differs between both queries is what the run's date is used for."""


def compile_here(transform: Transform, folder: Path) -> CompiledTransform:
    """Compile within this process, which can then compile nothing else. The sources are laid out in ``folder``.

    Raises:
        TransformError: see :func:`mlops_platform.transform.compile.compile_transform`.
    """
    connection = connect()
    columns = ", ".join(f"{_quoted(name)} {DUCKDB_TYPES[kind]}" for name, kind in transform.raw)
    connection.execute(f"CREATE TABLE {RAW} ({columns})")
    sqlframe.activate("duckdb", conn=connection)
    session = DuckDBSession.builder.getOrCreate()
    mending.replace_functions()
    with _failures_named(transform):
        compute = _load(transform, folder)
        query, other = (_query(compute(session.table(RAW), day), transform) for day in RUN_DATES)
    try:
        query = mending.mend(_with_run_date(query, other, transform), connection, session)
        query = _with_columns(query, transform)
        sql = mending.text(query, session)
        connection.execute(f"PREPARE compiled AS {sql}")
    except Refused as refused:
        raise TransformError(f"{_place(transform, refused.name)}: {refused.what}", remedy=refused.remedy) from None
    except duckdb.Error as error:
        raise TransformError(
            f"{transform.use_case}: features.py gives a query that DuckDB does not take: {_first_line(error)}",
            remedy="write that formula in another way; see docs/transforms.md",
        ) from None
    return CompiledTransform(
        sql=sql,
        compiler=_versions(),
        transform=transform.model_copy(update={"sources": _used(transform, folder)}),
    )


def _load(transform: Transform, folder: Path) -> Callable[[DuckDBDataFrame, dt.date], Any]:
    for path, text in transform.sources.items():
        file = folder / transform.use_case / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    # the use case as these sources have it, wherever its folder is
    importlib.import_module(PACKAGE).__path__[:] = [str(folder)]
    module = importlib.import_module(f"{PACKAGE}.{transform.use_case}.features")
    compute: Callable[[DuckDBDataFrame, dt.date], Any] = module.compute
    return compute


def _used(transform: Transform, folder: Path) -> dict[str, str]:
    """Those of the sources that were imported."""
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {path: text for path, text in transform.sources.items() if str(folder / transform.use_case / path) in files}


def _query(computed: Any, transform: Transform) -> exp.Select:
    if not isinstance(computed, DuckDBDataFrame):
        raise TransformError(
            f"{transform.use_case}: compute() of features.py returns {type(computed).__name__}, no DataFrame",
            remedy="return the DataFrame of features",
        )
    # what DataFrame.sql() turns into text: formulas are mended as a tree
    (query,) = computed._get_expressions(optimize=False)
    # a copy: here and there sqlframe's nodes name another parent than theirs
    return mending.with_plain_names(query.copy().assert_is(exp.Select))


def _with_run_date(query: exp.Select, other: exp.Select, transform: Transform) -> exp.Select:
    """The query with a parameter for the run's date, if it has a say.

    Raises:
        TransformError: something else than that date differs between the queries of two days.
    """
    for one, day in zip((query, other), RUN_DATES, strict=True):
        for literal in list(one.find_all(exp.Literal)):
            if literal.is_string and literal.this == day.isoformat():
                literal.replace(exp.Parameter(this=exp.var(RUN_DATE)))
    if query.sql() != other.sql():
        raise TransformError(
            f"{transform.use_case}: compute() of features.py counts with run_date in Python, so that each day would "
            "have another query",
            remedy="count in columns: F.date_sub(F.lit(run_date), 30) instead of run_date - timedelta(30)",
        )
    return query


def _with_columns(query: exp.Select, transform: Transform) -> exp.Select:
    """The query with the names and types of the spec.

    Raises:
        TransformError: it has other columns.
    """
    names = [name for name, _ in transform.columns]
    if [name.lower() for name in query.named_selects] != [name.lower() for name in names]:
        raise TransformError(
            f"{transform.use_case}: compute() of features.py returns {', '.join(query.named_selects)}; "
            f"its spec says {', '.join(names)}",
            remedy="correct features.py, or the spec",
        )
    columns = []
    for column, (name, kind) in zip(query.selects, transform.columns, strict=True):
        typed = exp.cast(column.unalias().copy(), DUCKDB_TYPES[kind], dialect="duckdb")
        columns.append(exp.alias_(typed, name, quoted=True))
    return query.select(*columns, append=False)


@contextlib.contextmanager
def _failures_named(transform: Transform) -> Iterator[None]:
    """Whatever ``features.py`` does when it is imported and called is its own failure, and has a line."""
    try:
        yield
    except TransformError:
        raise
    except Refused as refused:
        raise TransformError(f"{_place(transform, refused.name)}: {refused.what}", remedy=refused.remedy) from None
    except (Exception, SystemExit) as error:
        lines = [
            f"{Path(frame.filename).name}, line {frame.lineno}"
            for frame in traceback.extract_tb(error.__traceback__)
            if f"/{transform.use_case}/" in frame.filename
        ]
        if isinstance(error, SyntaxError):
            lines.append(f"features.py, line {error.lineno}")
        where = lines[-1] if lines else "features.py"
        raise TransformError(f"{transform.use_case}: {where}: {_reason(error)}", remedy=_remedy(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, AttributeError) and "sqlframe" in str(error):
        return f"there is no {error.name} for DuckDB"
    return f"{type(error).__name__}: {_first_line(error)}"


def _remedy(error: BaseException) -> str:
    if isinstance(error, AttributeError) and "sqlframe" in str(error):
        return "write the formula with other functions of pyspark.sql; see docs/transforms.md"
    return "correct it"


def _place(transform: Transform, name: str) -> str:
    """Where a function is called in the sources, as far as its name tells."""
    for path, source in sorted(transform.sources.items(), key=lambda item: item[0] != "features.py"):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute | ast.Name) and name in (
                getattr(node, "attr", ""),
                getattr(node, "id", ""),
            ):
                return f"{transform.use_case}: {path}, line {node.lineno}"
    return f"{transform.use_case}: features.py"


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("duckdb", "sqlframe", "sqlglot")}
    own = [file_sha256(Path(module.__file__ or "")) for module in (mending, sys.modules[__name__])]
    return versions | {"mending": "-".join(digest[:8] for digest in own)}


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def main() -> None:
    transform = Transform.model_validate_json(sys.stdin.buffer.read())
    # what a transform prints is no part of the answer
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as folder:
        try:
            outcome = Outcome(compiled=compile_here(transform, Path(folder)))
        except PlatformError as error:
            outcome = Outcome(what=error.what, remedy=error.remedy)
    sys.stdout.write(outcome.model_dump_json())


if __name__ == "__main__":
    main()
