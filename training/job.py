"""One training job: which snapshot of which use case, and with what settings.

A job is described as SageMaker describes it, by hyperparameters that are all strings::

    use_case, snapshot, run_id       what to train on, and the run it belongs to; required
    git_sha                          the code's commit, for the record
    transform                        the fingerprint of the formulas that computed the snapshot's features
    seed                             instead of the use case's
    families                         only these of the use case's candidates, separated by commas
    <family>.<parameter>             instead of the candidate's, as JSON or plain text
"""

import difflib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_platform.errors import ModelError
from mlops_platform.use_case.find import get_use_case
from mlops_platform.use_case.spec import Candidate, UseCase

REQUIRED = ("use_case", "snapshot", "run_id")
OPTIONAL = ("git_sha", "transform", "seed", "families")


@dataclass(frozen=True)
class TrainingJob:
    """What to fit, on what, and for which run. The same job on the same snapshot gives the same models."""

    use_case: UseCase
    snapshot: str
    run_id: str
    git_sha: str
    transform: str | None
    seed: int
    candidates: tuple[Candidate, ...]


def from_hyperparameters(given: Mapping[str, str]) -> TrainingJob:
    """The job that the hyperparameters describe.

    Raises:
        ModelError: one is missing, unknown or not of its type.
        UnknownUseCase: there is no such use case.
    """
    missing = [name for name in REQUIRED if not given.get(name)]
    if missing:
        raise ModelError(f"the hyperparameters lack {', '.join(missing)}", remedy="add them to hyperparameters.json")
    use_case = get_use_case(given["use_case"])
    candidates = _chosen(use_case, given.get("families"))
    for key in given:
        if key not in (*REQUIRED, *OPTIONAL):
            candidates = _overridden(candidates, key, given[key])
    return TrainingJob(
        use_case=use_case,
        snapshot=given["snapshot"],
        run_id=given["run_id"],
        git_sha=given.get("git_sha", "unknown"),
        transform=given.get("transform"),
        seed=_seed(given["seed"]) if "seed" in given else use_case.seed,
        candidates=candidates,
    )


def _chosen(use_case: UseCase, families: str | None) -> tuple[Candidate, ...]:
    known = [candidate.family for candidate in use_case.candidates]
    twice = sorted(family for family, times in Counter(known).items() if times > 1)
    if twice:
        raise ModelError(f"{use_case.name} declares {', '.join(twice)} twice", remedy="keep one candidate per family")
    if families is None:
        return use_case.candidates
    wanted = [family.strip() for family in families.split(",")]
    unknown = [family for family in wanted if family not in known]
    if unknown:
        raise ModelError(
            f"{use_case.name} has no family {', '.join(map(repr, unknown))}",
            remedy=f"its families are {', '.join(known)}",
        )
    return tuple(candidate for candidate in use_case.candidates if candidate.family in wanted)


def _overridden(candidates: tuple[Candidate, ...], key: str, value: str) -> tuple[Candidate, ...]:
    family, dot, parameter = key.partition(".")
    families = [candidate.family for candidate in candidates]
    if not dot or family not in families:
        known = [*REQUIRED, *OPTIONAL, *(f"{family}.<parameter>" for family in families)]
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ModelError(f"there is no hyperparameter {key!r}", remedy=f"{hint}known are {', '.join(known)}")
    return tuple(
        candidate.model_copy(update={"parameters": {**candidate.parameters, parameter: _value(value)}})
        if candidate.family == family
        else candidate
        for candidate in candidates
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _seed(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ModelError(
            f"the hyperparameter seed is {text!r}, no whole number", remedy="give a whole number"
        ) from None
