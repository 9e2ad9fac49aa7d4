"""How features are computed: one module per use case, named as its spec.

Each has ``compute(raw: DataFrame, run_date: date) -> DataFrame``, a pure function. It takes valid raw rows, typed as
the spec says, and returns the columns of ``UseCase.feature_table``, one row per raw row.
"""

import datetime as dt
import importlib
from typing import Protocol, cast

from pyspark.sql import DataFrame

from mlops_platform.errors import PlatformError


class Compute(Protocol):
    """A use case's transform. ``run_date`` is the only notion of today that it may have."""

    def __call__(self, raw: DataFrame, run_date: dt.date) -> DataFrame: ...


def compute_of(use_case: str) -> Compute:
    """The transform of a use case.

    Raises:
        PlatformError: no module computes the features of this use case.
    """
    name = f"use_cases.{use_case}.features"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise PlatformError(
            f"nothing computes the features of {use_case}",
            remedy=f"write compute(raw, run_date) in use_cases/{use_case}/features.py",
        ) from None
    return cast(Compute, module.compute)
