"""Moving the alias ``champion``: what changes the model that serves. Judging is elsewhere (``quality_gate``)."""

import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlops_platform.errors import ModelError
from mlops_platform.models.registry import CHAMPION
from mlops_platform.use_case.spec import UseCase
from training.registry import ACCEPTED, GATE_TAG, PREVIOUS, Registry


class Promotion(BaseModel):
    """The champion after a promotion and the version before it. Not ``changed``: it was the champion already."""

    model_config = ConfigDict(frozen=True)

    use_case: str
    model_version: str
    previous_version: str | None
    changed: bool


def promote(registry: Registry, use_case: UseCase, version: str) -> Promotion:
    """Make this version the champion, and the one that was it ``previous``. Done twice, it is done once.

    Raises:
        ModelError: there is no such version, the quality gate has not accepted it, or its files are not those that were
            registered; the champion stays.
    """
    candidate = registry.version(use_case.name, version)
    champion = registry.champion(use_case.name)
    if champion is not None and champion.version == candidate.version:
        previous = registry.alias(use_case.name, PREVIOUS)
        return _promotion(use_case, version, str(previous.version) if previous else None, changed=False)
    found = candidate.tags.get(GATE_TAG, "nothing")
    if found != ACCEPTED:
        raise ModelError(
            f"version {version} of {use_case.name} is not accepted: its tag {GATE_TAG} says {found}",
            remedy="promote a version that passed the quality gate",
        )
    with tempfile.TemporaryDirectory() as folder:
        registry.download(candidate, use_case, Path(folder))
    if champion is not None:
        registry.point(use_case.name, PREVIOUS, str(champion.version))
    registry.point(use_case.name, CHAMPION, version)
    return _promotion(use_case, version, str(champion.version) if champion else None, changed=True)


def roll_back(registry: Registry, use_case: UseCase) -> Promotion:
    """Make the previous champion the champion again. Done twice, it is undone.

    Raises:
        ModelError: there is no previous champion, or it cannot be promoted; the champion stays.
    """
    previous = registry.alias(use_case.name, PREVIOUS)
    if previous is None:
        raise ModelError(f"{use_case.name} has no previous champion", remedy="promote a version by its number")
    return promote(registry, use_case, str(previous.version))


def _promotion(use_case: UseCase, version: str, previous: str | None, *, changed: bool) -> Promotion:
    return Promotion(use_case=use_case.name, model_version=version, previous_version=previous, changed=changed)
