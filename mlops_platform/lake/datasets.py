"""Raw datasets: what arrived, byte for byte, under numbered versions.

``raw/<use_case>/version=<n>/`` holds the file and ``manifest.json``. A version appears whole or not at all and
never changes; the same bytes are stored once.
"""

import datetime as dt
import hashlib
import os
import re
import shutil
import uuid
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from mlops_platform.errors import RawDataError
from mlops_platform.files import locked, sync_folder, write_text
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.raw_file import count_rows, is_gzip
from mlops_platform.use_case.spec import UseCase

_CHUNK = 1024 * 1024
_DRAFT_PREFIX = ".arriving-"


class DatasetManifest(BaseModel):
    """What one version is: where it came from, and the sha256 of its bytes (64 hex digits)."""

    model_config = ConfigDict(frozen=True)

    use_case: str
    version: int
    file_name: str
    sha256: str
    size_bytes: int
    rows: int
    columns: tuple[str, ...]
    arrived_at: dt.datetime
    source: str

    _folder: Path = PrivateAttr(default=Path())

    @property
    def file(self) -> Path:
        """The CSV, plain or gzipped."""
        return self._folder / self.file_name


class Datasets:
    """The raw datasets of one use case."""

    def __init__(self, lake: Lake, use_case: UseCase) -> None:
        self._use_case = use_case
        self._folder = lake.raw(use_case.name)

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
            return self._add_locked(source)
        except OSError as error:
            raise RawDataError(
                f"{source} could not be stored: {error.strerror} ({error.filename or self._folder})",
                remedy="see that you may read the file and that the disk has room for it, and add it again",
            ) from None

    def get(self, version: int) -> DatasetManifest:
        """One version; 0 is the latest.

        Raises:
            RawDataError: there is none of this number; names those that there are.
        """
        versions = self._versions()
        if version == 0 and versions:
            version = versions[-1]
        if version not in versions:
            known = ", ".join(map(str, versions)) or "none"
            wanted = f"no dataset version {version}" if version else "no dataset yet"
            raise RawDataError(
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
        if not manifest.file.is_file():
            raise RawDataError(f"{manifest.file} is missing", remedy=remedy)
        found = _sha256(manifest.file)
        if found != manifest.sha256:
            raise RawDataError(
                f"{manifest.file} was changed after it arrived: its sha256 is {found}, expected {manifest.sha256}",
                remedy=remedy,
            )

    def _add_locked(self, source: Path) -> DatasetManifest:
        self._folder.mkdir(parents=True, exist_ok=True)
        with locked(self._folder / ".lock"):
            # the lock is ours, so whoever left these is dead
            for leftover in self._folder.glob(f"{_DRAFT_PREFIX}*"):
                shutil.rmtree(leftover)
            draft = self._folder / f"{_DRAFT_PREFIX}{uuid.uuid4().hex}"
            draft.mkdir()
            try:
                return self._add(source, draft)
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _add(self, source: Path, draft: Path) -> DatasetManifest:
        copy = draft / "copy"
        digest = _copy(source, copy)
        for known in self.list():
            if known.sha256 == digest:
                return known
        rows = count_rows(copy, str(source), self._use_case)
        file_name = "data.csv.gz" if is_gzip(copy) else "data.csv"
        copy.rename(draft / file_name)
        manifest = DatasetManifest(
            use_case=self._use_case.name,
            version=(self._versions() or (0,))[-1] + 1,
            file_name=file_name,
            sha256=digest,
            size_bytes=(draft / file_name).stat().st_size,
            rows=rows,
            columns=self._use_case.raw_columns,
            arrived_at=dt.datetime.now(dt.UTC),
            source=source.name,
        )
        write_text(draft / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
        draft.rename(self._version_folder(manifest.version))
        sync_folder(self._folder)
        return self._read(manifest.version)

    def _version_folder(self, version: int) -> Path:
        return self._folder / f"version={version}"

    def _versions(self) -> tuple[int, ...]:
        matches = (re.fullmatch(r"version=(\d+)", path.name) for path in self._folder.glob("version=*"))
        return tuple(sorted(int(match.group(1)) for match in matches if match))

    def _read(self, version: int) -> DatasetManifest:
        folder = self._version_folder(version)
        try:
            manifest = DatasetManifest.model_validate_json((folder / "manifest.json").read_bytes())
        except (OSError, ValidationError) as error:
            raise RawDataError(
                f"{folder} has no readable manifest ({error})", remedy="remove the folder and add the file again"
            ) from None
        manifest._folder = folder
        return manifest


def _copy(source: Path, target: Path) -> str:
    """Copy durably; returns the sha256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
