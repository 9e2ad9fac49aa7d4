"""Models of one use case that callers name, by version or family; the last few of them stay loaded."""

import time
from dataclasses import dataclass

from mlops_platform.errors import UnknownModel
from mlops_platform.models.registry import (
    FAMILY_TAG,
    MANIFEST_TAG,
    SPEC_HASH_TAG,
    ModelRegistry,
    ModelVersion,
    RegistryDown,
)
from mlops_platform.use_case.spec import UseCase
from serving.follow.model_copies import ModelCopies
from serving.model import ServedModel

LOADED_AT_ONCE = 4
_GOOD_SECONDS = 15.0
_UNKNOWN_SECONDS = 2.0
"""How old the list of versions may be for an answer, and for saying that there is none of this name."""


@dataclass(frozen=True)
class _Listing:
    """What is registered, the newest first, when that was asked, and why there was no answer."""

    versions: tuple[ModelVersion, ...] = ()
    asked_at: float = float("-inf")
    down: RegistryDown | None = None

    @property
    def age(self) -> float:
        return time.monotonic() - self.asked_at


class NamedModels:
    """Found by one thread at a time; what is loaded can be read by others meanwhile."""

    def __init__(self, use_case: UseCase, registry: ModelRegistry, copies: ModelCopies) -> None:
        self._use_case = use_case
        self._registry = registry
        self._copies = copies
        self._listing = _Listing()
        self._loaded: dict[str, ServedModel] = {}

    def at_hand(self, name: str) -> ServedModel | None:
        """The model of this name if it is loaded and known to be meant, without asking anybody."""
        listing = self._listing
        registered = self._chosen(listing, name) if listing.age < _GOOD_SECONDS else None
        return None if registered is None else self._loaded.get(registered.tags.get(MANIFEST_TAG, ""))

    def find(self, name: str) -> ServedModel:
        """The version of this number, or the newest of this family that was trained on the features as they are now.

        Takes time.

        Raises:
            UnknownModel: there is none.
            ModelError: it is not what was registered, or not fit to be served.
            RegistryDown: it is not loaded, and the registry did not answer.
            OSError: it cannot be kept.
        """
        registered = self._registered(name)
        digest = registered.manifest_sha256
        model = self._loaded.get(digest) or self._copies.fetch(registered, self._registry)
        others = [(known, loaded) for known, loaded in self._loaded.items() if known != digest]
        self._loaded = dict([*others, (digest, model)][-LOADED_AT_ONCE:])
        return model

    def _registered(self, name: str) -> ModelVersion:
        if self._listing.age >= _GOOD_SECONDS:
            self._ask()
        found = self._chosen(self._listing, name)
        if found is None and self._listing.age >= _UNKNOWN_SECONDS:
            self._ask()
            found = self._chosen(self._listing, name)
        if found is None and self._listing.down is not None:
            raise self._listing.down.with_traceback(None)  # raised again and again, it would gather tracebacks
        if found is None:
            raise UnknownModel(
                f"{self._use_case.name} has no model {name}, neither a version nor a family of its present features",
                remedy=f"see which there are with `mlops models list {self._use_case.name}`",
            )
        return found

    def _ask(self) -> None:
        """List what is registered; while the registry does not answer, what it said last goes on."""
        asked_at = time.monotonic()
        try:
            self._listing = _Listing(tuple(self._registry.versions(self._use_case.name)), asked_at)
        except RegistryDown as error:
            self._listing = _Listing(self._listing.versions, asked_at, error)

    def _chosen(self, listing: _Listing, name: str) -> ModelVersion | None:
        return next((one for one in listing.versions if name == one.version or self._is_of_family(one, name)), None)

    def _is_of_family(self, version: ModelVersion, name: str) -> bool:
        return version.tags.get(FAMILY_TAG) == name and version.tags.get(SPEC_HASH_TAG) == self._use_case.spec_hash
