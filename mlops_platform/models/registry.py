"""MLflow's model registry over its REST API: the one client of every part. A registered model has its use case's name.

``import mlflow`` costs 3.5 s and 170 MB in every process; what is needed here is plain HTTP.

A version is known by the digest of its manifest (tag ``manifest_sha256``), never by its number alone: a registry that
was reset counts from 1 again.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import ValidationError

from mlops_platform.errors import ModelError, PlatformError, UnknownModel
from mlops_platform.models import manifest as model_manifest
from mlops_platform.models.manifest import MANIFEST_FILE, ModelManifest
from mlops_platform.use_case.spec import UseCase

CHAMPION = "champion"
"""The alias of the version that answers."""
CHALLENGER = "challenger"
"""The alias of the version that answers a share of the ids, or predicts beside the champion."""
PREVIOUS = "previous"
"""The alias of the version that was champion before, for people; a rollback goes by the tag ``promoted_from``."""
BEST = "best"
"""The alias of the best version that ever was champion: what candidates must not fall behind. Never pruned."""

MANIFEST_TAG = "manifest_sha256"
"""The digest of the version's manifest, which holds those of all its files."""
VERDICT_TAG = "verdict"
"""What the last training run that judged the version said: one of ``models.verdict.Decision``."""
SUPERSEDES_TAG = "supersedes"
"""The digest of the model whose place as the best this one takes when it is promoted; no such tag: nobody's."""
PROMOTED_FROM_TAG = "promoted_from"
"""Of a version that was promoted: the digest of the champion before; no such tag: there was none."""
ROLLED_BACK_FROM_TAG = "rolled_back_from"
"""Of a version that is champion by a rollback: the digest of the champion that was rolled back."""
NOT_COMPILED_TAG = "not_compiled"
"""Why the version has no compiled form; no such tag: it has one."""
FAMILY_TAG = "family"
"""The version's model family: one of the use case's candidates."""
SPEC_HASH_TAG = "spec_hash"
"""The spec's digest as the version was trained by it."""
RUN_TAG = "run_id"
"""The training run that registered the version."""
JOB_TAG = "job_digest"
"""The digest of the job that the version is a result of, set once all that follows from the verdict is done."""
OLD_VERDICT_TAG = "quality_gate"
"""What ``VERDICT_TAG`` was called until verdicts could be undecided."""

_VERSIONS_PER_PAGE = 1000
_MODELS_PER_PAGE = 500
_NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
_EXISTS = "RESOURCE_ALREADY_EXISTS"


class RegistryDown(PlatformError):
    """The registry gave no usable answer. Another attempt may get one."""

    transient = True


class _Refused(Exception):
    """MLflow understood, and says why not: ``code`` is its own."""

    def __init__(self, code: str, said: str) -> None:
        super().__init__(said)
        self.code = code


@dataclass(frozen=True)
class ModelVersion:
    """One registered version, the aliases that point at it, and its tags."""

    name: str
    version: str
    created_at: dt.datetime
    run_id: str = ""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def manifest_sha256(self) -> str:
        """What identifies the model.

        Raises:
            ModelError: the version has no such tag, so nothing says which files are right.
        """
        if MANIFEST_TAG not in self.tags:
            raise ModelError(
                f"version {self.version} of {self.name} has no tag {MANIFEST_TAG}",
                remedy="use a version that training registered",
            )
        return self.tags[MANIFEST_TAG]


class ModelRegistry:
    """Blocking calls, safe from several threads at once. Each fails with ``RegistryDown`` where MLflow does.

    Args:
        timeout: seconds that any one step of a call may take (to connect, to get the next bytes).
    """

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def aliases(self) -> dict[str, dict[str, str]]:
        """Version by alias, by registered model: of all use cases."""
        pages = self._pages("registered-models/search", "registered_models", {"max_results": _MODELS_PER_PAGE})
        return {model["name"]: _aliases_of(model) for model in pages}

    def aliases_of(self, name: str) -> dict[str, str]:
        """Version by alias of one registered model; none where there is no such model."""
        try:
            found = self._call("GET", "registered-models/get", params={"name": name})
        except _Refused as error:
            if error.code == _NOT_FOUND:
                return {}
            raise self._unusable(str(error)) from None
        return _aliases_of(found["registered_model"])

    def versions(self, name: str) -> list[ModelVersion]:
        """Every version, the newest first; none before the first training."""
        aliases: dict[str, list[str]] = {}
        for alias, version in self.aliases_of(name).items():
            aliases.setdefault(version, []).append(alias)
        # in the order in which they were made, so that a version made meanwhile shifts no page
        query = {
            "filter": f"name = '{name}'",
            "max_results": _VERSIONS_PER_PAGE,
            "order_by": "creation_timestamp ASC",
        }
        listed = [
            _version(name, entry, aliases.get(str(entry["version"]), ()))
            for entry in self._pages("model-versions/search", "model_versions", query)
        ]
        return sorted(listed, key=lambda one: int(one.version), reverse=True)

    def version(self, name: str, version: str) -> ModelVersion:
        """One version.

        Raises:
            UnknownModel: there is none of this number; names those that there are.
        """
        try:
            found = self._call("GET", "model-versions/get", params={"name": name, "version": version})
        except _Refused as error:
            if error.code == _NOT_FOUND:
                known = ", ".join(one.version for one in reversed(self.versions(name))) or "none yet"
                raise UnknownModel(
                    f"{name} has no model version {version}; registered: {known}",
                    remedy="name one of these, or train first",
                ) from None
            raise ModelError(str(error), remedy=f"see `mlops models list {name}`") from None
        aliases = [alias for alias, of in self.aliases_of(name).items() if of == version]
        return _version(name, found["model_version"], aliases)

    def with_digest(self, name: str, digest: str) -> ModelVersion | None:
        """The newest version whose model has this digest, None where there is none."""
        return next((found for found in self.versions(name) if found.tags.get(MANIFEST_TAG) == digest), None)

    def alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at, None where there is no such model or alias."""
        version = self.aliases_of(name).get(alias)
        return None if version is None else self.version(name, version)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Make the alias point at the version, in one step."""
        self._change("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version})

    def delete_alias(self, name: str, alias: str) -> None:
        """Take the alias away; nothing is done where there is none."""
        if alias in self.aliases_of(name):
            self._change("DELETE", "registered-models/alias", {"name": name, "alias": alias})

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._change("POST", "model-versions/set-tag", {"name": name, "version": version, "key": key, "value": value})

    def delete_tag(self, name: str, version: str, key: str) -> None:
        """Take the tag away; nothing is done where there is none."""
        if key in self.version(name, version).tags:
            self._change("DELETE", "model-versions/delete-tag", {"name": name, "version": version, "key": key})

    def create_model(self, name: str) -> None:
        """Register the model, unless it is there already."""
        try:
            self._call("POST", "registered-models/create", json={"name": name})
        except _Refused as error:
            if error.code != _EXISTS:
                raise self._unusable(str(error)) from None

    def create_version(self, name: str, source: str, run_id: str, tags: Mapping[str, str]) -> ModelVersion:
        """A new version of a registered model, whose folder is the artifact folder ``source`` of the run."""
        content = {
            "name": name,
            "source": source,
            "run_id": run_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return _version(name, self._change("POST", "model-versions/create", content)["model_version"], ())

    def download(self, name: str, version: str, file: str, target: Path) -> None:
        """Copy one file of the version's model folder to ``target``.

        Raises:
            ModelError: the registry does not have it.
        """
        query = {"name": name, "version": version, "path": file}
        try:
            with self._client.stream("GET", f"{self._url}/model-versions/get-artifact", params=query) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise self._no_artifact(answer, f"{file} of {name} version {version}")
                with target.open("wb") as out:
                    for part in answer.iter_bytes():
                        out.write(part)
        except httpx.HTTPError as error:
            raise self._unusable(type(error).__name__) from error

    def download_model(self, registered: ModelVersion, use_case: UseCase, folder: Path) -> ModelManifest:
        """Copy a version's model folder into an empty one, and verify it against the registered digest.

        Raises:
            ModelError: it has no digest, its files are gone, or they are not what was registered, or of another spec.
        """
        digest = registered.manifest_sha256
        self.download(registered.name, registered.version, MANIFEST_FILE, folder / MANIFEST_FILE)
        # only a manifest that is the registered one is asked for names of files
        for file in _files_listed(folder, digest):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            self.download(registered.name, registered.version, file, folder / file)
        return model_manifest.verify(folder, use_case, digest)

    def _pages(self, path: str, field_name: str, query: Mapping[str, Any]) -> Iterator[Any]:
        token = None
        while True:
            try:
                page = self._call("GET", path, params={**query, **({"page_token": token} if token else {})})
            except _Refused as error:
                raise self._unusable(str(error)) from None
            yield from page.get(field_name, [])
            token = page.get("next_page_token")
            if not token:
                return

    def _change(self, method: str, path: str, content: Mapping[str, Any]) -> Any:
        try:
            return self._call(method, path, json=content)
        except _Refused as error:
            raise ModelError(str(error), remedy="see `mlops models list` for what there is") from None

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            answer = self._client.request(method, f"{self._url}/api/2.0/mlflow/{path}", **arguments)
            content = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._unusable(f"{path}: {str(error) or type(error).__name__}") from None
        if answer.is_success:
            return content
        code = content.get("error_code") if isinstance(content, dict) else None
        said = f"MLflow answered {answer.status_code} to {path}: {_message(content)}"
        # without MLflow's own code it is not MLflow that speaks
        if answer.is_client_error and code:
            raise _Refused(code, said)
        raise self._unusable(said)

    def _no_artifact(self, answer: httpx.Response, subject: str) -> PlatformError:
        if answer.is_client_error:
            return ModelError(
                f"the registry does not have {subject} (HTTP {answer.status_code})", remedy=model_manifest.REMEDY
            )
        return self._unusable(f"{subject}: HTTP {answer.status_code}")

    def _unusable(self, found: str) -> RegistryDown:
        return RegistryDown(
            f"MLflow's registry at {self._url} does not answer ({found})", remedy="see that it runs: mlops status"
        )


def _files_listed(folder: Path, digest: str) -> list[str]:
    found = model_manifest.manifest_sha256(folder)
    if found != digest:
        raise ModelError(
            f"its manifest has the sha256 {found}, the registry says {digest}", remedy=model_manifest.REMEDY
        )
    try:
        return sorted(ModelManifest.model_validate_json((folder / MANIFEST_FILE).read_bytes()).files)
    except ValidationError as error:
        raise ModelError(
            f"its manifest is none of this version of the platform: {error}", remedy=model_manifest.REMEDY
        ) from None


def _version(name: str, entry: Mapping[str, Any], aliases: Iterable[str]) -> ModelVersion:
    return ModelVersion(
        name=name,
        version=str(entry["version"]),
        created_at=dt.datetime.fromtimestamp(int(entry["creation_timestamp"]) / 1000, dt.UTC),
        run_id=entry.get("run_id", ""),
        aliases=tuple(sorted(aliases)),
        tags={tag["key"]: tag["value"] for tag in entry.get("tags", [])},
    )


def _aliases_of(model: Mapping[str, Any]) -> dict[str, str]:
    return {entry["alias"]: str(entry["version"]) for entry in model.get("aliases", [])}


def _message(content: Any) -> str:
    return str(content.get("message", "no message")) if isinstance(content, dict) else "no message"
