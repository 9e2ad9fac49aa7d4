"""The prediction log of a use case in the lake: the Hive table ``predictions.<use_case>`` and its files.

The table is one folder of parquet files. What would change files makes a new folder, and then moves the table to it in
one step (``online.json`` names the folder): a query sees each record once, whichever folder it began with.
"""

import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from mlops_platform.lake.lake import Lake
from mlops_platform.lake.layout import predictions
from mlops_platform.lake.tables import text_literal
from serving.log.schema import conform, hive_columns, union

logger = logging.getLogger(__name__)

DATABASE = "predictions"
FOLDER = "online"
KEPT = dt.timedelta(hours=1)
"""For this long a folder stays after the table has left it: longer than a query takes."""
_SUFFIX = ".parquet"


class _Place(BaseModel):
    """Where a table is, and since when it has left each of the folders that were its own before."""

    folder: str
    left: dict[str, dt.datetime] = {}


class PredictionTable:
    """One use case's table. Only one process changes a table at a time; any may read it.

    Raises:
        OSError: from every method, where the lake fails. What a method did not finish has changed nothing.
    """

    def __init__(self, lake: Lake, use_case: str) -> None:
        self.use_case = use_case
        self._lake = lake
        self._parent = predictions(use_case)
        self._pointer = f"{self._parent}/{FOLDER}.json"

    @property
    def folder(self) -> str:
        """The prefix of the table's files."""
        return f"{self._parent}/{self._place().folder}"

    @property
    def location(self) -> str:
        return self._lake.uri(self.folder)

    @property
    def name(self) -> str:
        return f"{DATABASE}.{self.use_case}"

    def files(self) -> list[str]:
        """The keys of the table's files, sorted."""
        return [key for key in self._lake.keys(self.folder) if key.endswith(_SUFFIX)]

    def size(self, file: str) -> int:
        return self._lake.size(file)

    def schemas(self) -> dict[str, pa.Schema]:
        """The schema of each file. One that is no parquet file is logged and left out."""
        found = {}
        for key in self.files():
            try:
                with self._lake.open(key) as file:
                    found[key] = pq.read_schema(file)
            except pa.ArrowInvalid as error:
                logger.error("file of the prediction table is damaged", extra={"key": key, "reason": str(error)})
        return found

    def schema(self) -> pa.Schema:
        """The columns of the table: those of all its files."""
        return union(*self.schemas().values())

    def row_groups(self, file: str) -> Iterator[pa.Table]:
        """A file's rows, a part at a time."""
        with self._lake.open(file) as opened, _parquet(opened) as parquet:
            for group in range(parquet.num_row_groups):
                yield parquet.read_row_group(group, use_threads=False)

    def rows_of(self, request_id: str) -> Iterator[dict[str, Any]]:
        """The rows of one request."""
        for key in self.schemas():
            with self._lake.open(key) as file, _parquet(file) as parquet:
                for group in range(parquet.num_row_groups):
                    ids = parquet.read_row_group(group, ["request_id"], use_threads=False)["request_id"]
                    found = pc.indices_nonzero(pc.equal(ids, request_id))
                    if len(found):
                        yield from parquet.read_row_group(group, use_threads=False).take(found).to_pylist()

    @contextlib.contextmanager
    def new_file(self, stem: str, schema: pa.Schema, folder: str | None = None) -> Iterator[Callable[[pa.Table], None]]:
        """Gives what writes rows, a row group at a time, to a file that appears with all of them or not at all.

        A file that is there already was made of the same rows, and stays.
        """
        with self._lake.scratch() as scratch:
            draft = scratch / "draft"
            with pq.ParquetWriter(draft, schema) as writer:
                yield lambda rows: writer.write_table(conform(rows, schema))
            key = f"{folder or self.folder}/{stem}{_SUFFIX}"
            if not self._lake.exists(key):
                self._lake.add(key, draft)

    @contextlib.contextmanager
    def successor(self) -> Iterator[str]:
        """Gives the prefix of a new folder; the table is moved to it at the end, or stays where an error came."""
        place = self._place()
        self._point(place)  # so that a folder that is half full is never taken for the table
        name = f"{FOLDER}-{_number(place.folder) + 1}"
        self._lake.delete(f"{self._parent}/{name}")  # what one that was killed had done
        try:
            yield f"{self._parent}/{name}"
        except BaseException:
            self._lake.delete(f"{self._parent}/{name}")
            raise
        there = set(self._lake.folders(self._parent))
        left = {folder: when for folder, when in place.left.items() if folder in there}
        self._point(_Place(folder=name, left={**left, place.folder: dt.datetime.now(dt.UTC)}))

    def carry_over(self, file: str, folder: str) -> None:
        """Have a file in a new folder as well; where the lake's storage allows, it takes its room once."""
        name = file.rpartition("/")[2]
        with self._lake.scratch() as scratch:
            self._lake.add(f"{folder}/{name}", self._lake.local_copy(file, scratch / name, None, shared=True))

    def remove_old_folders(self) -> None:
        """Remove the folders that no query can still be reading."""
        place = self._place()
        for name in self._folders():
            left = place.left.get(name)
            if name != place.folder and (left is None or dt.datetime.now(dt.UTC) - left > KEPT):
                self._lake.delete(f"{self._parent}/{name}")

    def _place(self) -> _Place:
        content = self._lake.read_if_there(self._pointer)
        if content is not None:
            return _Place.model_validate_json(content)
        # before there was a pointer the table was in the last of its folders
        return _Place(folder=max(self._folders(), key=_number, default=FOLDER))

    def _point(self, place: _Place) -> None:
        self._lake.put(self._pointer, place.model_dump_json(indent=2).encode())

    def _folders(self) -> list[str]:
        names = self._lake.folders(self._parent)
        return [name for name in names if name == FOLDER or name.startswith(f"{FOLDER}-")]


def prediction_tables(lake: Lake) -> list[PredictionTable]:
    """The tables of all use cases that have one, also of those that are gone."""
    tables = [PredictionTable(lake, name) for name in lake.folders(DATABASE)]  # each lies below the database
    return [table for table in tables if table.files()]


def create_table(table: PredictionTable, schema: pa.Schema, database_location: str) -> list[str]:
    """DDL after which Hive has the table with these columns, whatever it had before; the files are not touched."""
    create = f"CREATE EXTERNAL TABLE {table.name} ({hive_columns(schema)})"
    return [
        f"CREATE DATABASE IF NOT EXISTS {DATABASE} LOCATION {text_literal(database_location)}",
        f"DROP TABLE IF EXISTS {table.name}",
        f"{create}\nSTORED AS PARQUET\nLOCATION {text_literal(table.location)}",
    ]


def move_table(table: PredictionTable) -> str:
    """DDL that tells Hive where the table is now."""
    return f"ALTER TABLE {table.name} SET LOCATION {text_literal(table.location)}"


def _parquet(file: BinaryIO) -> pq.ParquetFile:
    """Read by the calling thread alone, where its readers take no threads: one of Arrow's that still holds a Python
    file when the interpreter ends aborts the process."""
    return pq.ParquetFile(file, pre_buffer=False)


def _number(folder: str) -> int:
    return int(folder.partition("-")[2] or 0)
