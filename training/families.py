"""What is fitted: ``model.py`` in the folder of each use case, with its families in ``BUILDERS``."""

import difflib

from sklearn.pipeline import Pipeline

from mlops_platform.errors import ModelError
from mlops_platform.use_case.find import file_of, import_part
from mlops_platform.use_case.spec import Candidate, UseCase


def build(use_case: UseCase, candidate: Candidate, seed: int) -> Pipeline:
    """The unfitted pipeline of a candidate.

    Raises:
        PlatformError: the use case has no ``model.py``, that no such family, or the family no such parameter.
    """
    builders = import_part(use_case.name, "model", purpose="BUILDERS says what is fitted").BUILDERS
    file = file_of(use_case.name, "model")
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
