"""Credit risk: a linear model as the one to beat, and a forest for what is not linear."""

from training.estimators import tabular_builders
from use_cases.credit_risk.spec import USE_CASE

BUILDERS = tabular_builders(USE_CASE)
