"""Moving the alias ``champion``: what changes the model that serves. Judging is elsewhere (``training.judge``).

Whatever moment a process is killed at, the registry tells the truth, and the same call again ends as if nothing had
happened. Each move first writes tags on the version that is to be champion: as long as it is not, they mean nothing.
Then the alias ``champion`` moves, in one step. ``previous`` and ``best`` follow from the tags, and are set after it.
"""

import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlops_platform.errors import ModelError
from mlops_platform.models.registry import (
    BEST,
    CHAMPION,
    MANIFEST_TAG,
    OLD_VERDICT_TAG,
    PREVIOUS,
    PROMOTED_FROM_TAG,
    ROLLED_BACK_FROM_TAG,
    SUPERSEDES_TAG,
    VERDICT_TAG,
    ModelRegistry,
    ModelVersion,
)
from mlops_platform.models.verdict import Decision
from mlops_platform.use_case.spec import UseCase

PROMOTABLE = (Decision.ACCEPTED, Decision.UNDECIDED)


class Promotion(BaseModel):
    """The champion after a promotion or a rollback, and the one before it. Not ``changed``: it was done already."""

    model_config = ConfigDict(frozen=True)

    use_case: str
    model_version: str
    previous_version: str | None
    changed: bool


def promote(registry: ModelRegistry, use_case: UseCase, version: str) -> Promotion:
    """Make this version the champion. Done twice, it is done once.

    Raises:
        ModelError: there is no such version, it was rejected, or its files are not those that were registered; the
            champion stays.
        RegistryDown: MLflow does not answer; to be called again.
    """
    candidate = registry.version(use_case.name, version)
    champion = registry.alias(use_case.name, CHAMPION)
    changed = champion is None or champion.version != candidate.version
    if changed:
        _check_verdict(candidate)
        _check_files(registry, use_case, candidate)
        registry.delete_tag(use_case.name, version, ROLLED_BACK_FROM_TAG)
        _note(registry, candidate, PROMOTED_FROM_TAG, champion)
        registry.set_alias(use_case.name, CHAMPION, version)
    return _settled(registry, use_case.name, changed=changed)


def rollback_target(registry: ModelRegistry, name: str) -> ModelVersion | None:
    """Where a rollback leads: the champion before the last promotion, or the champion where that was rolled back.

    None where nothing tells: there is no champion, or it was made that by hand.
    """
    champion = registry.alias(name, CHAMPION)
    if champion is not None and ROLLED_BACK_FROM_TAG in champion.tags:
        return champion
    return _promoted_over(registry, champion)


def roll_back(registry: ModelRegistry, use_case: UseCase, target: ModelVersion | None = None) -> Promotion:
    """Make the champion before the last promotion the champion again. Done twice, it is done once.

    To go on to an earlier one, or back to the one that was rolled back, promote it by its number.

    Args:
        target: an earlier champion that somebody else knows of, where the registry tells of none.

    Raises:
        ModelError: there was no champion before, or it cannot be promoted; the champion stays.
        RegistryDown: MLflow does not answer; to be called again.
    """
    name = use_case.name
    champion = registry.alias(name, CHAMPION)
    before = rollback_target(registry, name) or target
    if champion is None or before is None:
        raise ModelError(f"{name} has no previous champion", remedy="promote a version by its number")
    if before.version == champion.version:
        return _settled(registry, name, changed=False)
    _check_files(registry, use_case, before)
    _note(registry, before, ROLLED_BACK_FROM_TAG, champion)
    registry.set_alias(name, CHAMPION, before.version)
    return _settled(registry, name, changed=True)


def _check_verdict(candidate: ModelVersion) -> None:
    found = candidate.tags.get(VERDICT_TAG) or candidate.tags.get(OLD_VERDICT_TAG, "nothing")
    if found not in PROMOTABLE:
        raise ModelError(
            f"version {candidate.version} of {candidate.name} is not accepted: its tag {VERDICT_TAG} says {found}",
            remedy="promote a version that was not rejected",
        )


def _check_files(registry: ModelRegistry, use_case: UseCase, candidate: ModelVersion) -> None:
    with tempfile.TemporaryDirectory() as folder:
        registry.download_model(candidate, use_case, Path(folder))


def _note(registry: ModelRegistry, version: ModelVersion, tag: str, before: ModelVersion | None) -> None:
    # a version that somebody else registered has no digest, so there is no way back to it
    digest = None if before is None else before.tags.get(MANIFEST_TAG)
    if digest is None:
        registry.delete_tag(version.name, version.version, tag)
    else:
        registry.set_tag(version.name, version.version, tag, digest)


def _promoted_over(registry: ModelRegistry, champion: ModelVersion | None) -> ModelVersion | None:
    """The champion before this one was promoted."""
    if champion is None:
        return None
    if PROMOTED_FROM_TAG in champion.tags:
        return registry.with_digest(champion.name, champion.tags[PROMOTED_FROM_TAG])
    # promoted before there was such a tag
    return registry.alias(champion.name, PREVIOUS) if OLD_VERDICT_TAG in champion.tags else None


def _settled(registry: ModelRegistry, name: str, *, changed: bool) -> Promotion:
    """Set the aliases that follow from the champion's tags; also where a process was killed before it had set them."""
    champion = registry.alias(name, CHAMPION)
    if champion is None:
        raise ModelError(f"the champion of {name} was taken away meanwhile", remedy="promote a version again")
    if ROLLED_BACK_FROM_TAG in champion.tags:
        previous = registry.with_digest(name, champion.tags[ROLLED_BACK_FROM_TAG])
    else:
        previous = _promoted_over(registry, champion)
        _settle_best(registry, champion, previous)
    if previous is None:
        registry.delete_alias(name, PREVIOUS)
    elif PREVIOUS not in previous.aliases:
        registry.set_alias(name, PREVIOUS, previous.version)
    return Promotion(
        use_case=name,
        model_version=champion.version,
        previous_version=previous.version if previous else None,
        changed=changed,
    )


def _settle_best(registry: ModelRegistry, promoted: ModelVersion, before: ModelVersion | None) -> None:
    """The promoted model is the best if it took the place of the best, or if there is none.

    Until a use case has a best, its champion stands for it.
    """
    best = registry.alias(promoted.name, BEST)
    standing = best or before
    digest = standing and standing.tags.get(MANIFEST_TAG)
    if standing is None or digest is None or promoted.tags.get(SUPERSEDES_TAG) == digest:
        standing = promoted
    if best is None or best.version != standing.version:
        registry.set_alias(promoted.name, BEST, standing.version)
