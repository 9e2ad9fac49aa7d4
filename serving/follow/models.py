"""Follows one alias of a use case in the registry.

A version that cannot be loaded is refused: what was loaded goes on, and the reason is kept for ``/readyz``.
"""

import asyncio
import logging
import time

from pydantic import ValidationError

from mlops_platform.errors import ModelError
from mlops_platform.use_case.spec import UseCase
from serving.follow.model_copies import ModelCopies
from serving.follow.registry import CHAMPION, ModelRegistry
from serving.model import ServedModel

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 15.0


class ModelFollower:
    """The model behind one alias."""

    def __init__(self, use_case: UseCase, alias: str, registry: ModelRegistry, copies: ModelCopies) -> None:
        self._use_case = use_case
        self._alias = alias
        self._registry = registry
        self._copies = copies
        self._refused_version: str | None = None
        self._retry_at = 0.0
        self.loaded: ServedModel | None = None
        self.refused: str | None = None

    async def follow(self, version: str | None) -> bool:
        """Make this version of the registry the loaded one. Returns whether ``loaded`` changed.

        Raises:
            RegistryDown: the registry did not answer.
        """
        if version is None:
            return self._forget()
        if self.loaded is not None and version == self.loaded.version:
            self.refused = self._refused_version = None
            return False
        if version == self._refused_version and time.monotonic() < self._retry_at:
            return False
        try:
            self.loaded = await self._copies.fetch(version, self._registry)
            await asyncio.to_thread(self._copies.note, self._alias, version)
        except (ModelError, ValidationError, OSError) as error:
            self._refuse(version, error)
            return False
        self.refused = self._refused_version = None
        logger.info("model loaded", extra=self._about(version))
        return True

    def last_good(self) -> bool:
        """Load the model that was kept last. Returns whether there was one fit to serve."""
        version = self._copies.noted(self._alias)
        if version is None:
            return False
        try:
            self.loaded = self._copies.load(version)
        except (ModelError, OSError) as error:
            self._refuse(version, error)
            return False
        logger.info("model loaded from its last good copy", extra=self._about(version))
        return True

    def _forget(self) -> bool:
        # a champion is never given up for nothing: its alias may be gone by mistake
        if self._alias == CHAMPION or self.loaded is None:
            return False
        self.loaded = self.refused = None
        self._copies.note(self._alias, None)
        return True

    def _refuse(self, version: str, error: Exception) -> None:
        self.refused = f"version {version} was refused: {error}"
        if version != self._refused_version:
            logger.error("model refused", extra=self._about(version) | {"reason": str(error)})
        self._refused_version = version
        self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _about(self, version: str) -> dict[str, str]:
        return {"use_case": self._use_case.name, "alias": self._alias, "model_version": version}
