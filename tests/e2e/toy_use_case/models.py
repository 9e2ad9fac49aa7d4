"""Model families of the toy use case: those that suit any table."""

from mlops_platform.use_cases.toy import USE_CASE
from training.estimators import tabular_builders

BUILDERS = tabular_builders(USE_CASE)
