"""What is fitted: one module per use case, with its families in ``BUILDERS``."""

import difflib
import importlib

from sklearn.pipeline import Pipeline

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import Candidate, UseCase


def build(use_case: UseCase, candidate: Candidate, seed: int) -> Pipeline:
    """The unfitted pipeline of a candidate.

    Raises:
        ModelError: the use case has no module here, the module no such family, or the family no such parameter.
    """
    module = f"use_cases.{use_case.name}.model"
    file = module.replace(".", "/") + ".py"
    try:
        builders = importlib.import_module(module).BUILDERS
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModelError(f"there is no {file}", remedy="write it: it says what is fitted, in BUILDERS") from None
    if candidate.family not in builders:
        close = difflib.get_close_matches(candidate.family, builders, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ModelError(
            f"{file} has no family {candidate.family!r}", remedy=f"{hint}the families are {', '.join(builders)}"
        )
    try:
        pipeline = builders[candidate.family](candidate.parameters, seed)
    except TypeError as error:
        raise ModelError(f"{candidate.family}: {error}", remedy="correct the candidate's parameters") from None
    return pipeline
