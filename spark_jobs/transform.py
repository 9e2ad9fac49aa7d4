"""How features are computed: ``features.py`` in the folder of each use case.

Each has ``compute(raw: DataFrame, run_date: date) -> DataFrame``, a pure function. It takes valid raw rows, typed as
the spec says (``UseCase.raw_table``), and returns the columns of ``UseCase.computed_table``, one row per raw row.
"""

import datetime as dt
from typing import Protocol, cast

from pyspark.sql import DataFrame

from mlops_platform.use_case.find import import_part


class Compute(Protocol):
    """A use case's transform. ``run_date`` is the only notion of today that it may have."""

    def __call__(self, raw: DataFrame, run_date: dt.date) -> DataFrame: ...


def compute_of(use_case: str) -> Compute:
    """The transform of a use case.

    Raises:
        PlatformError: the use case has no ``features.py``.
    """
    module = import_part(use_case, "features", purpose="compute(raw, run_date) returns the features")
    return cast(Compute, module.compute)
