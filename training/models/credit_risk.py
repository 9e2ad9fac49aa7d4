"""Credit risk: a linear model as the one to beat, and a forest for what is not linear."""

from mlops_platform.use_cases.credit_risk import USE_CASE
from training.estimators import tabular_builders

BUILDERS = tabular_builders(USE_CASE)
