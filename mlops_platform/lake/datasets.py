"""Raw datasets: what arrived, byte for byte, under numbered versions.

``raw/<use_case>/version=<n>/`` has a file of each source and, written last, ``manifest.json``: a version appears whole
or not at all, and never changes. The same bytes are stored once.
"""

import datetime as dt
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, computed_field, model_validator

from mlops_platform.errors import LakeError, RawDataError, UnknownDataset
from mlops_platform.lake import layout
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.raw_file import check_header, count_rows, is_gzip, is_parquet
from mlops_platform.use_case.spec import Source, UseCase

_CHUNK = 1024 * 1024
_MANIFEST = "manifest.json"
PARQUET = ".parquet"
"""How the names of files end that are Parquet; those of the others end with ``.csv`` or ``.csv.gz``."""
_ONLY_SOURCE = "data"
"""What the one source was called before a spec could name several, and is where it names none."""


class RawFile(BaseModel):
    """One file of a version: which of the use case's sources it is of, and the sha256 of its bytes (64 hex digits).

    ``columns`` are its own names, in the order of the spec. ``multiline`` says if the fields of a row hold line breaks;
    None in manifests of before it was looked for. ``arrived_as`` is the name of the file that was added.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    file_name: str
    sha256: str
    size_bytes: int
    rows: int
    multiline: bool | None = None
    columns: tuple[str, ...]
    arrived_as: str


class DatasetManifest(BaseModel):
    """What one version is: its files, one for each source of the use case, in the order of the spec."""

    model_config = ConfigDict(frozen=True)

    use_case: str
    version: int
    arrived_at: dt.datetime
    files: tuple[RawFile, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def sha256(self) -> str:
        """The digest of all that arrived: of one file its own, of several that of theirs, a line each."""
        if len(self.files) == 1:
            return self.files[0].sha256
        lines = "".join(f"{file.sha256}  {file.source}\n" for file in self.files)
        return hashlib.sha256(lines.encode()).hexdigest()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def source(self) -> str:
        """What the files were called."""
        return ", ".join(file.arrived_as for file in self.files)

    @property
    def keys(self) -> tuple[str, ...]:
        """Where the files lie in the lake, in their order."""
        return tuple(f"{_version_prefix(self.use_case, self.version)}/{file.file_name}" for file in self.files)

    @model_validator(mode="before")
    @classmethod
    def _of_before_there_were_sources(cls, data: Any) -> Any:
        """The manifest of an older version of the platform says of its one file what a file now says of itself."""
        if not isinstance(data, dict) or "files" in data:
            return data
        file = {name: data.get(name) for name in RawFile.model_fields if name in data}
        return {**data, "files": [{**file, "source": _ONLY_SOURCE, "arrived_as": data.get("source")}]}


class Datasets:
    """The raw datasets of one use case."""

    def __init__(self, lake: Lake, use_case: UseCase) -> None:
        self._lake = lake
        self._use_case = use_case
        self._prefix = layout.raw(use_case.name)

    def add(self, *files: Path) -> DatasetManifest:
        """Store a file of each source, in the order of the spec, as the next version.

        Files whose bytes are a version already are that version.

        Raises:
            RawDataError: they are no files, or not those of this use case; nothing was stored.
        """
        sources = self._use_case.sources
        if len(files) != len(sources):
            names = [source.name for source in sources]
            raise RawDataError(
                f"a dataset of {self._use_case.name} is made of {len(names)} files ({', '.join(names)}), "
                f"{len(files)} were given",
                remedy=f"mlops data add {self._use_case.name} {' '.join(f'{name}:FILE' for name in names)}",
            )
        for file in files:
            _check_is_file(file)
        try:
            with self._lake.lease(self._prefix), self._lake.scratch() as folder:
                return self._add([_arrive(*one, folder) for one in zip(sources, files, strict=True)])
        except OSError as error:
            raise RawDataError(
                f"{', '.join(map(str, files))} could not be stored: {error.strerror} "
                f"({error.filename or self._prefix})",
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

    def check_columns(self, manifest: DatasetManifest) -> None:
        """Hold a version against the spec, which may have changed since it arrived.

        Raises:
            RawDataError: the spec has other sources, or other columns in one of them.
        """
        sources = self._use_case.sources
        if [file.source for file in manifest.files] != [source.name for source in sources]:
            raise RawDataError(
                f"version {manifest.version} of {manifest.use_case} has the sources "
                f"{', '.join(file.source for file in manifest.files)}, its spec says "
                f"{', '.join(source.name for source in sources)}",
                remedy=f"add the files anew: mlops data add {manifest.use_case} FILE...",
            )
        for file, key, source in zip(manifest.files, manifest.keys, sources, strict=True):
            check_header(file.columns, key, self._use_case.arriving_columns(source))

    def verify(self, manifest: DatasetManifest) -> None:
        """Hold the bytes against the manifest.

        Raises:
            RawDataError: they are missing, or changed after they arrived.
        """
        remedy = "add the file again; versions are never edited"
        for file, key in zip(manifest.files, manifest.keys, strict=True):
            try:
                with self._lake.open(key) as content:
                    found = hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
            except LakeError:
                raise RawDataError(f"{key} is missing", remedy=remedy) from None
            if found != file.sha256:
                raise RawDataError(
                    f"{key} was changed after it arrived: its sha256 is {found}, expected {file.sha256}", remedy=remedy
                )

    def _add(self, arrivals: Sequence["_Arrival"]) -> DatasetManifest:
        known = next((one for one in self.list() if self._is_same(one, arrivals) and self._is_whole(one)), None)
        if known is not None:
            return known
        manifest = DatasetManifest(
            use_case=self._use_case.name,
            version=(self._versions() or (0,))[-1] + 1,
            arrived_at=dt.datetime.now(dt.UTC),
            files=tuple(arrival.examined(self._use_case) for arrival in arrivals),
        )
        prefix = _version_prefix(manifest.use_case, manifest.version)
        self._lake.delete(prefix)  # the lease is ours, so whoever left a file without a manifest is dead
        try:
            for key, arrival in zip(manifest.keys, arrivals, strict=True):
                self._lake.add(key, arrival.copy)
            self._lake.write_once(f"{prefix}/{_MANIFEST}", (manifest.model_dump_json(indent=2) + "\n").encode())
        except BaseException:
            self._lake.delete(prefix)
            raise
        return self._read(manifest.version)

    def _is_same(self, known: DatasetManifest, arrivals: Sequence["_Arrival"]) -> bool:
        """Whether these are the files of a version, and it still fits the spec."""
        if [(file.source, file.sha256) for file in known.files] != [(one.source.name, one.sha256) for one in arrivals]:
            return False
        try:
            self.check_columns(known)
        except RawDataError:
            return False
        return True

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


@dataclass(frozen=True)
class _Arrival:
    """A file that is added: whose source it is, its copy on the lake's disk, and the sha256 of that."""

    source: Source
    file: Path
    copy: Path
    sha256: str

    def examined(self, use_case: UseCase) -> RawFile:
        """What it holds.

        Raises:
            RawDataError: it is not a file of this source.
        """
        columns = use_case.arriving_columns(self.source)
        if is_parquet(self.copy):
            # loading pyarrow takes half a second, which nobody waits for who brings a CSV
            from mlops_platform.lake import raw_parquet  # noqa: PLC0415

            ending, rows, multiline = PARQUET, raw_parquet.count_rows(self.copy, str(self.file), columns), False
        else:
            ending = f".csv{'.gz' if is_gzip(self.copy) else ''}"
            rows, multiline = count_rows(self.copy, str(self.file), columns)
        return RawFile(
            source=self.source.name,
            file_name=f"{self.source.name}{ending}",
            sha256=self.sha256,
            size_bytes=self.copy.stat().st_size,
            rows=rows,
            multiline=multiline,
            columns=columns,
            arrived_as=os.fsencode(self.file.name).decode(errors="replace"),
        )


def _check_is_file(file: Path) -> None:
    if file.is_dir():
        raise RawDataError(f"{file} is a directory", remedy="name a CSV or Parquet file")
    if not file.is_file():
        what = "is no regular file" if file.exists() else "does not exist"
        raise RawDataError(f"{file} {what}", remedy="name a CSV or Parquet file")


def _arrive(source: Source, file: Path, folder: Path) -> _Arrival:
    """Copy a file into the lake's scratch folder."""
    copy = folder / source.name
    return _Arrival(source, file, copy, _copy(file, copy))


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
