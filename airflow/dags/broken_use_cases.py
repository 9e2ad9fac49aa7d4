"""Fails to import, with the reason, for as long as a use case is broken: Airflow shows that; the others' DAGs go on."""

from mlops_platform.errors import PlatformError
from mlops_platform.use_case.find import find_use_cases

if broken := find_use_cases().broken:
    raise PlatformError(
        "; ".join(error.what for error in broken), remedy="correct what it names; Airflow reads it again"
    )
