"""Transforms out of a text, compiled in processes that have the compiler loaded already."""

import multiprocessing
import tempfile
from pathlib import Path

from mlops_platform.errors import PlatformError
from mlops_platform.transform.compile import Outcome, TransformError
from mlops_platform.transform.compiled import CompiledTransform, Transform
from mlops_platform.transform.compiler import compile_here
from mlops_platform.use_case.spec import ColumnType

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])

IMPORTS = "import datetime as dt\nfrom pyspark.sql import Window, functions as F\n\n"
RAW: tuple[tuple[str, ColumnType], ...] = (
    ("row", "long"),
    ("who", "string"),
    ("day", "date"),
    ("whole", "int"),
    ("long", "long"),
    ("number", "double"),
    ("text", "string"),
)


def transform(
    body: str,
    columns: tuple[tuple[str, ColumnType], ...] = (("row", "long"), ("f", "double")),
    raw: tuple[tuple[str, ColumnType], ...] = RAW,
    imports: str = IMPORTS,
) -> Transform:
    """``compute`` with this body, which returns these columns."""
    source = f"{imports}def compute(raw, run_date):\n    {body}\n"
    return Transform(use_case="made_up", raw=raw, columns=columns, sources={"features.py": source})


def compiled(one: Transform) -> CompiledTransform:
    """Raises TransformError as :func:`mlops_platform.transform.compile.compile_anew` does, of which this is a part."""
    with _processes.Pool(1) as pool:
        outcome = pool.apply(_outcome, (one,))
    if outcome.compiled is None:
        raise TransformError(outcome.what, remedy=outcome.remedy)
    return outcome.compiled


def _outcome(one: Transform) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Outcome(compiled=compile_here(one, Path(folder)))
        except PlatformError as error:
            return Outcome(what=error.what, remedy=error.remedy)
