"""Copies of the models that were loaded, verified each time they are used: a restart needs no registry."""

import contextlib
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from mlops_platform.errors import ModelError
from mlops_platform.files import locked, locked_if_free, sync_file, sync_folder
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import MANIFEST_FILE, ModelManifest
from mlops_platform.models.registry import ModelRegistry, ModelVersion
from mlops_platform.use_case.spec import UseCase
from serving.model import Registration, ServedModel, load

_KEPT_MODELS = 10


class ModelCopies:
    """The kept models of one use case: a folder for each, named by its manifest's digest. Safe from several threads."""

    def __init__(self, use_case: UseCase, folder: Path) -> None:
        self._use_case = use_case
        self._folder = folder

    def fetch(self, registered: ModelVersion, registry: ModelRegistry) -> ServedModel:
        """A version of the registry, from its copy if there is a whole one, else downloaded and kept.

        Raises:
            RegistryDown: the registry did not answer.
            ModelError: the version is not what was registered, not of this use case, or does not load.
            OSError: it cannot be kept.
        """
        registration = registration_of(registered)
        # of several workers one downloads
        with locked(self._lock):
            if not _is_whole(self._copy_of(registration), registration.manifest_sha256):
                with self._new_copy(registration) as draft:
                    registry.download_model(registered, self._use_case, draft)
        return self.load(registration)

    def load(self, registration: Registration) -> ServedModel:
        """The copy of a model.

        Raises:
            ModelError: there is none, it was changed, or it is not fit to be served.
        """
        return load(self._copy_of(registration), self._use_case, registration)

    def adopt(self, model: Path, registration: Registration) -> None:
        """Keep a model folder of this machine."""
        with locked(self._lock), self._new_copy(registration) as draft:
            shutil.copytree(model, draft, dirs_exist_ok=True)

    def keep_only(self, staying: Collection[Registration]) -> None:
        """Remove the copies of the models that were kept first, but not these."""
        with locked_if_free(self._lock) as free:
            names = {self._copy_of(registration).name for registration in staying}
            folders = [path for path in self._folder.iterdir() if path.is_dir()] if free else []
            for old in sorted(folders, key=lambda path: path.stat().st_mtime)[:-_KEPT_MODELS]:
                if old.name not in names:
                    shutil.rmtree(old, ignore_errors=True)

    def _copy_of(self, registration: Registration) -> Path:
        copy = self._folder / registration.manifest_sha256
        first_layout = self._folder / registration.version  # by number, which a registry that was reset gives again
        return first_layout if not copy.is_dir() and first_layout.is_dir() else copy

    @property
    def _lock(self) -> Path:
        return self._folder / ".lock"

    @contextlib.contextmanager
    def _new_copy(self, registration: Registration) -> Iterator[Path]:
        """A folder to fill, which then becomes the copy. Its caller has the lock: what else was begun is abandoned."""
        for abandoned in self._folder.glob(".draft-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        draft, target = self._folder / f".draft-{uuid.uuid4().hex}", self._folder / registration.manifest_sha256
        draft.mkdir()
        try:
            yield draft
            for path in [draft, *draft.rglob("*")]:
                sync_folder(path) if path.is_dir() else sync_file(path)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
            sync_folder(self._folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def registration_of(registered: ModelVersion) -> Registration:
    """What is kept of what the registry says.

    Raises:
        ModelError: it says nothing of which files are right.
    """
    return Registration(
        version=registered.version,
        manifest_sha256=registered.manifest_sha256,
        registered_at=registered.created_at,
    )


def _is_whole(folder: Path, digest: str) -> bool:
    """Whether the folder is, file for file, what was registered."""
    try:
        if model_manifest.manifest_sha256(folder) != digest:
            return False
        manifest = ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        for name in manifest.files:
            model_manifest.read_file(folder, manifest, name)
    except (ModelError, ValidationError, OSError):
        return False
    return True
