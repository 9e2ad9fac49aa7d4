"""Copies of the models that were loaded, verified each time they are used: a restart needs no registry."""

import asyncio
import datetime as dt
import json
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path

from mlops_platform.errors import ModelError
from mlops_platform.files import locked, write_json
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import MANIFEST_FILE, ModelManifest
from mlops_platform.use_case.spec import UseCase
from serving.follow.registry import ModelRegistry
from serving.model import Registration, ServedModel, load

MANIFEST_TAG = "manifest_sha256"
_REGISTRATION = "registration.json"
_KEPT_VERSIONS = 10


class ModelCopies:
    """The kept models of one use case: a folder per version, and per alias a note of the versions it stood for."""

    def __init__(self, use_case: UseCase, folder: Path) -> None:
        self._use_case = use_case
        self._folder = folder

    async def fetch(self, version: str, registry: ModelRegistry) -> ServedModel:
        """A version of the registry, from its copy if there is a good one, else downloaded and kept.

        Raises:
            RegistryDown: the registry did not answer.
            ModelError: the version is not what was registered, not of this use case, or does not load.
        """
        registered = await registry.version(self._use_case.name, version)
        if MANIFEST_TAG not in registered.tags:
            raise ModelError(
                f"version {version} has no tag {MANIFEST_TAG}, so nothing says which files are right",
                remedy="register models by the training DAG",
            )
        registration = Registration(
            version,
            registered.tags[MANIFEST_TAG],
            dt.datetime.fromtimestamp(registered.created_ms / 1000, dt.UTC),
        )
        try:
            return await asyncio.to_thread(load, self._folder / version, self._use_case, registration)
        except ModelError:
            await self._download(registration, registry)
        return await asyncio.to_thread(load, self._folder / version, self._use_case, registration)

    def load(self, version: str) -> ServedModel:
        """The copy of a version.

        Raises:
            ModelError: there is none, or it was changed.
        """
        try:
            content = json.loads((self._folder / version / _REGISTRATION).read_text(encoding="utf-8"))
            registration = Registration(
                content["version"], content["manifest_sha256"], dt.datetime.fromisoformat(content["registered_at"])
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(
                f"there is no good copy of version {version} of {self._use_case.name} ({type(error).__name__})",
                remedy="start MLflow, from which it is copied",
            ) from None
        return load(self._folder / version, self._use_case, registration)

    def adopt(self, model: Path, registration: Registration) -> None:
        """Keep a model folder of this machine as the copy of a version."""
        target = self._folder / registration.version
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(model, target)
        write_json(target / _REGISTRATION, asdict(registration))

    def note(self, alias: str, version: str | None) -> None:
        """Remember the version that an alias stands for now, and those before; going back forgets those after."""
        with locked(self._folder / ".lock"):
            if version is None:
                self._note(alias).unlink(missing_ok=True)
                return
            known = self._noted(alias)
            if version not in known:
                write_json(self._note(alias), {"versions": [*known, version]})
            elif version != known[-1]:
                write_json(self._note(alias), {"versions": known[: known.index(version) + 1]})

    def noted(self, alias: str) -> str | None:
        """The version that the alias stood for last."""
        return next(iter(self._noted(alias)[-1:]), None)

    def before(self, alias: str) -> str | None:
        """The version that the alias stood for before that one."""
        return next(iter(self._noted(alias)[-2:-1]), None)

    def _noted(self, alias: str) -> list[str]:
        try:
            versions: list[str] = json.loads(self._note(alias).read_text(encoding="utf-8"))["versions"]
        except (OSError, ValueError, KeyError):
            return []
        return versions

    def _note(self, alias: str) -> Path:
        return self._folder / f"{alias}.json"

    async def _download(self, registration: Registration, registry: ModelRegistry) -> None:
        name, version = self._use_case.name, registration.version
        draft = self._folder / f".{version}.{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            await registry.download(name, version, MANIFEST_FILE, draft / MANIFEST_FILE)
            for file in _listed(draft, registration):
                (draft / file).parent.mkdir(parents=True, exist_ok=True)
                await registry.download(name, version, file, draft / file)
            model_manifest.verify(draft, self._use_case, registration.manifest_sha256)
            write_json(draft / _REGISTRATION, asdict(registration))
            await asyncio.to_thread(self._put_in_place, draft, registration)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _put_in_place(self, draft: Path, registration: Registration) -> None:
        target = self._folder / registration.version
        with locked(self._folder / ".lock"):
            if not self._is_good(target, registration):
                shutil.rmtree(target, ignore_errors=True)
                draft.rename(target)
            noted = {self.noted(path.stem) for path in self._folder.glob("*.json")}
            folders = [path for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
            for old in sorted(folders, key=lambda path: path.stat().st_mtime)[:-_KEPT_VERSIONS]:
                if old.name not in noted:
                    shutil.rmtree(old, ignore_errors=True)

    def _is_good(self, copy: Path, registration: Registration) -> bool:
        """Whether another worker has brought the copy meanwhile: then it stays, for that worker may be reading it."""
        try:
            model_manifest.verify(copy, self._use_case, registration.manifest_sha256)
        except ModelError:
            return False
        return (copy / _REGISTRATION).exists()


def _listed(folder: Path, registration: Registration) -> list[str]:
    """The files that the manifest names, once it is known to be the registered one."""
    found = model_manifest.manifest_sha256(folder)
    if found != registration.manifest_sha256:
        raise ModelError(
            f"its manifest has the sha256 {found}, the registry says {registration.manifest_sha256}",
            remedy=model_manifest.REMEDY,
        )
    return sorted(ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes()).files)
