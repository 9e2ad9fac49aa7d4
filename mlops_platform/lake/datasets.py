"""Raw datasets: what arrived, byte for byte, under numbered versions.

``raw/<use_case>/version=<n>/`` has the file and, written last, ``manifest.json``: a version appears whole or not at
all, and never changes. The same bytes are stored once.
"""

import datetime as dt
import hashlib
import os
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_platform.errors import LakeError, RawDataError, UnknownDataset
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.raw_file import count_rows, is_gzip
from mlops_platform.use_case.spec import UseCase

_CHUNK = 1024 * 1024
_MANIFEST = "manifest.json"


class DatasetManifest(BaseModel):
    """What one version is: where it came from, and the sha256 of its bytes (64 hex digits).

    ``multiline`` says if the fields of a row hold line breaks; None in manifests of before it was looked for.
    """

    model_config = ConfigDict(frozen=True)

    use_case: str
    version: int
    file_name: str
    sha256: str
    size_bytes: int
    rows: int
    multiline: bool | None = None
    columns: tuple[str, ...]
    arrived_at: dt.datetime
    source: str

    @property
    def key(self) -> str:
        """Of the CSV, plain or gzipped."""
        return f"{_version_prefix(self.use_case, self.version)}/{self.file_name}"


class Datasets:
    """The raw datasets of one use case."""

    def __init__(self, lake: Lake, use_case: UseCase) -> None:
        self._lake = lake
        self._use_case = use_case
        self._prefix = layout.raw(use_case.name)

    def add(self, source: Path) -> DatasetManifest:
        """Store a file as the next version; a file whose bytes are a version already is that version.

        Raises:
            RawDataError: it is no file, or not one of this use case; nothing was stored.
        """
        if source.is_dir():
            raise RawDataError(f"{source} is a directory", remedy="name one CSV file")
        if not source.is_file():
            what = "is no regular file" if source.exists() else "does not exist"
            raise RawDataError(f"{source} {what}", remedy="name one CSV file")
        try:
            with self._lake.lease(self._prefix), self._lake.scratch() as folder:
                return self._add(source, folder / "copy")
        except OSError as error:
            raise RawDataError(
                f"{source} could not be stored: {error.strerror} ({error.filename or self._prefix})",
                remedy="see that you may read the file and that the disk has room for it, and add it again",
            ) from None

    def get(self, version: int) -> DatasetManifest:
        """One version; 0 is the latest.

        Raises:
            UnknownDataset: there is none of this number; names those that there are.
        """
        versions = self._versions()
        if version == 0 and versions:
            version = versions[-1]
        if version not in versions:
            known = ", ".join(map(str, versions)) or "none"
            wanted = f"no dataset version {version}" if version else "no dataset yet"
            raise UnknownDataset(
                f"{self._use_case.name} has {wanted}; there are: {known}",
                remedy=f"add a file with `mlops data add {self._use_case.name} FILE`",
            )
        return self._read(version)

    def latest(self) -> DatasetManifest | None:
        """The version that arrived last, or None before the first."""
        versions = self._versions()
        return self._read(versions[-1]) if versions else None

    def list(self) -> list[DatasetManifest]:
        """Every version, in the order of arrival."""
        return [self._read(version) for version in self._versions()]

    def verify(self, manifest: DatasetManifest) -> None:
        """Hold the bytes against the manifest.

        Raises:
            RawDataError: they are missing, or changed after they arrived.
        """
        remedy = "add the file again; versions are never edited"
        try:
            with self._lake.open(manifest.key) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except LakeError:
            raise RawDataError(f"{manifest.key} is missing", remedy=remedy) from None
        if found != manifest.sha256:
            raise RawDataError(
                f"{manifest.key} was changed after it arrived: its sha256 is {found}, expected {manifest.sha256}",
                remedy=remedy,
            )

    def _add(self, source: Path, copy: Path) -> DatasetManifest:
        digest = _copy(source, copy)
        for known in self.list():
            if known.sha256 == digest and known.columns == self._use_case.raw_columns and self._is_whole(known):
                return known
        counted = count_rows(copy, str(source), self._use_case)
        manifest = DatasetManifest(
            use_case=self._use_case.name,
            version=(self._versions() or (0,))[-1] + 1,
            file_name="data.csv.gz" if is_gzip(copy) else "data.csv",
            sha256=digest,
            size_bytes=copy.stat().st_size,
            rows=counted.rows,
            multiline=counted.multiline,
            columns=self._use_case.raw_columns,
            arrived_at=dt.datetime.now(dt.UTC),
            source=os.fsencode(source.name).decode(errors="replace"),
        )
        prefix = _version_prefix(manifest.use_case, manifest.version)
        self._lake.delete(prefix)  # the lease is ours, so whoever left a file without a manifest is dead
        try:
            self._lake.add(manifest.key, copy)
            self._lake.write_once(f"{prefix}/{_MANIFEST}", (manifest.model_dump_json(indent=2) + "\n").encode())
        except BaseException:
            self._lake.delete(prefix)
            raise
        return self._read(manifest.version)

    def _is_whole(self, manifest: DatasetManifest) -> bool:
        try:
            self.verify(manifest)
        except RawDataError:
            return False
        return True

    def _versions(self) -> tuple[int, ...]:
        matches = (re.fullmatch(r"version=(\d+)", name) for name in self._lake.folders(self._prefix))
        numbers = sorted(int(match.group(1)) for match in matches if match)
        return tuple(number for number in numbers if self._lake.exists(self._manifest_key(number)))

    def _manifest_key(self, version: int) -> str:
        return f"{_version_prefix(self._use_case.name, version)}/{_MANIFEST}"

    def _read(self, version: int) -> DatasetManifest:
        key = self._manifest_key(version)
        try:
            return DatasetManifest.model_validate_json(self._lake.read(key))
        except ValidationError as error:
            raise RawDataError(
                f"{key} is no readable manifest ({error})", remedy="remove the version and add the file again"
            ) from None


def _version_prefix(use_case: str, version: int) -> str:
    return f"{layout.raw(use_case)}/version={version}"


def _copy(source: Path, target: Path) -> str:
    """Copies; returns the sha256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
    return digest.hexdigest()
