"""Model families of the toy use case: those that suit any table."""

from training.estimators import tabular_builders
from use_cases.toy.spec import USE_CASE

BUILDERS = tabular_builders(USE_CASE)
