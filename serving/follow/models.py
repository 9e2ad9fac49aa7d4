"""Follows one alias of a use case in the registry.

A version that cannot be loaded is refused: what was loaded goes on, and the reason is kept for ``/readyz``.
"""

import logging
import time
from dataclasses import replace

from pydantic import ValidationError

from mlops_platform.errors import PlatformError
from mlops_platform.models.registry import CHAMPION, ModelRegistry, RegistryDown
from mlops_platform.use_case.spec import UseCase
from serving.follow.model_copies import ModelCopies, registration_of
from serving.model import Registration, ServedModel

logger = logging.getLogger(__name__)

_ASK_AGAIN_SECONDS = 15.0
"""After so long a version that was asked for already is asked for again: one that was refused may be whole by now, and
a registry that was reset may have another model of the same number."""


class ModelFollower:
    """The model behind one alias. Used by one thread at a time."""

    def __init__(self, use_case: UseCase, alias: str, registry: ModelRegistry, copies: ModelCopies) -> None:
        self._use_case = use_case
        self._alias = alias
        self._registry = registry
        self._copies = copies
        self._asked: str | None = None
        self._ask_again_at = 0.0
        self.newest: ServedModel | None = None
        """The last one that was loaded."""
        self.refused: str | None = None

    def follow(self, version: str | None) -> None:
        """Take in the version that the alias stands for now, None if it stands for none.

        Raises:
            RegistryDown: the registry did not answer.
        """
        if version is None:
            self._forget()
        elif version != self._asked or time.monotonic() >= self._ask_again_at:
            self._ask_for(version)
            self._asked, self._ask_again_at = version, time.monotonic() + _ASK_AGAIN_SECONDS

    def take(self, model: ServedModel) -> None:
        """Take in a model that was loaded already, as what the alias stands for now."""
        self.newest, self.refused, self._asked = model, None, None

    def load_kept(self, registration: Registration) -> None:
        """Take in a model of which a copy was kept, without asking the registry."""
        try:
            self.newest = self._copies.load(registration)
        except (PlatformError, OSError) as error:
            self._refuse(registration.version, error)

    def _ask_for(self, version: str) -> None:
        try:
            registered = self._registry.version(self._use_case.name, version)
            registration = registration_of(registered)
            if self.newest is None or self.newest.registration.manifest_sha256 != registration.manifest_sha256:
                self.newest = self._copies.fetch(registered, self._registry)
            elif self.newest.registration != registration:  # the same model, registered anew
                self.newest = replace(self.newest, registration=registration)
        except RegistryDown:
            raise
        except (PlatformError, ValidationError, OSError) as error:
            self._refuse(version, error)
        else:
            self.refused = None

    def _forget(self) -> None:
        # a champion is never given up for nothing: its alias may be gone by mistake
        if self._alias != CHAMPION:
            self.newest = None
        self.refused = self._asked = None

    def _refuse(self, version: str, error: Exception) -> None:
        reason = f"version {version} was refused: {error}"
        if reason != self.refused:
            about = {"use_case": self._use_case.name, "alias": self._alias, "model_version": version}
            logger.error("model refused", extra={**about, "reason": str(error)})
        self.refused = reason
