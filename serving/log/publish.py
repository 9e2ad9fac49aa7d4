"""Publishes closed segments of the prediction log as files of the Hive tables.

Workers start it as a process of its own. A file is named after its segment, so a crash between writing the one and
removing the other doubles nothing. One process publishes at a time.
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa

from mlops_platform.errors import PlatformError
from mlops_platform.files import locked_if_free, sync_folder, write_text
from mlops_platform.lake.lake import Lake
from mlops_platform.online_store.hive import run_query
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from serving.log.compact import merge_small_files
from serving.log.records import UNFIT, Record, declared_rows, inferred_rows
from serving.log.schema import declared_schema, hive_columns, union
from serving.log.segment import CLOSED, UNREADABLE, close_abandoned, read_lines
from serving.log.table import DATABASE, PredictionTable, create_table, move_table, prediction_tables
from serving.log.widen import widen
from serving.observe.logs import configure
from serving.paths import serving_paths

logger = logging.getLogger("serving.log.publish")

RECORDS_AT_ONCE = 20_000
BYTES_AT_ONCE = 32 * 1024 * 1024
"""Some 30 MB of memory for usual records, however many a segment has."""
BEHIND_ANSWERS = 10
"""Niceness: where cores are few, answers go first."""

_LOCK = ".publishing"
_TABLE_MADE = "table_made"


class Publication(NamedTuple):
    """How many segments were published, and whether nothing is left to do: files are merged, Hive is told."""

    segments: int
    complete: bool


def publish(settings: PlatformSettings) -> Publication:
    """Turn every closed segment, and those of dead workers, into files of the tables.

    Does nothing while another process publishes, which then finds them.

    Raises:
        OSError: the lake takes no files now; what is not published stays for the next time.
    """
    folder = serving_paths(settings).log
    segments, complete = 0, True
    while True:
        with locked_if_free(folder / _LOCK) as alone:
            if not alone:
                return Publication(segments, complete)
            close_abandoned(folder)
            segments += _publish_closed(folder, Lake(settings.lake_root))
            complete = _keep_tables(folder, settings)
        # whoever closed a segment meanwhile may have found the lock held
        if not any(folder.glob(f"*{CLOSED}")):
            return Publication(segments, complete)


def _publish_closed(folder: Path, lake: Lake) -> int:
    published = 0
    for segment in sorted(folder.glob(f"*{CLOSED}")):
        try:
            _publish_segment(segment, lake)
            published += 1
        except (PlatformError, *UNFIT) as error:
            _set_aside(segment, error)
    sync_folder(folder)  # a segment that came back with a power cut would be published beside its merged rows
    return published


def _publish_segment(segment: Path, lake: Lake) -> None:
    declared = {use_case.name: declared_schema(use_case) for use_case in all_use_cases()}
    try:
        _write_rows(segment, lake, lambda name, records: declared_rows(records, declared[name]), declared)
    except UNFIT:
        # written under another spec, or for a use case that is broken or gone: the values themselves tell their types
        schemas: dict[str, set[pa.Schema]] = {}
        for name, rows in _rows(segment, lambda _, records: inferred_rows(records)):
            schemas.setdefault(name, {declared[name]} if name in declared else set()).add(rows.schema)
        found = {name: union(*several) for name, several in schemas.items()}
        _write_rows(segment, lake, lambda _, records: inferred_rows(records), found)
    segment.unlink()


_AsRows = Callable[[str, Sequence[Record]], pa.Table]


def _write_rows(segment: Path, lake: Lake, as_rows: _AsRows, schemas: dict[str, pa.Schema]) -> None:
    """A file for each use case with records in the segment."""
    writers: dict[str, Callable[[pa.Table], None]] = {}
    with contextlib.ExitStack() as files:
        for name, rows in _rows(segment, as_rows):
            if name not in writers:
                table = PredictionTable(lake, name)
                found = table.schemas()
                schema = union(*found.values(), schemas[name])
                widen(table, found, schema)
                writers[name] = files.enter_context(table.new_file(segment.stem, schema))
            writers[name](rows)


def _rows(segment: Path, as_rows: _AsRows) -> Iterator[tuple[str, pa.Table]]:
    for records in _in_parts(segment):
        for name in sorted({str(record["use_case"]) for record in records}):
            yield name, as_rows(name, [record for record in records if record["use_case"] == name])


def _in_parts(segment: Path) -> Iterator[list[Record]]:
    """The records of a segment, as many at once as memory holds easily."""
    part: list[Record] = []
    size = 0
    for line in read_lines(segment):
        part.append(orjson.loads(line))
        size += len(line)
        if len(part) >= RECORDS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _set_aside(segment: Path, error: Exception) -> None:
    """Keep what is no record, so that it does not hold up what comes after it."""
    aside = segment.with_suffix(UNREADABLE)
    segment.rename(aside)
    extra = {"kept_as": str(aside), "reason": _reason(error)}
    logger.error("segment of the prediction log not published", extra=extra)


def _reason(error: Exception) -> str:
    """The error in words; a library's own may repeat the values of a row."""
    return str(error) if isinstance(error, PlatformError | OSError) else type(error).__name__


def _keep_tables(folder: Path, settings: PlatformSettings) -> bool:
    """Merge files, tell Hive what is news, remove what was left. What fails for one table is logged; False then."""
    lake = Lake(settings.lake_root)
    complete = True
    for table in prediction_tables(lake):
        try:
            merge_small_files(table)
            _tell_hive(table, folder, lake.uri(DATABASE), settings)
            table.remove_old_folders()
        except (OSError, pa.ArrowException, PlatformError) as error:
            complete = False
            logger.warning("prediction table not kept up", extra={"table": table.name, "reason": _reason(error)})
    return complete


def _tell_hive(table: PredictionTable, folder: Path, database_location: str, settings: PlatformSettings) -> None:
    """Tell Hive where the table is and which columns it has, where that is news.

    Raises:
        HiveUnavailable: the next publication has to try again.
    """
    mark = folder / f"{table.use_case}.{_TABLE_MADE}"
    schema, location = table.schema(), table.location
    columns = hive_columns(schema)
    told = mark.read_text(encoding="utf-8").splitlines() if mark.exists() else []
    if told == [columns, location]:
        return
    news = [move_table(table)] if told[:1] == [columns] else create_table(table, schema, database_location)
    for statement in news:
        run_query(settings.hiveserver2_host, settings.hiveserver2_port, statement, {})
    write_text(mark, f"{columns}\n{location}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--hiveserver2-host", required=True)
    parser.add_argument("--hiveserver2-port", type=int, required=True)
    settings = PlatformSettings(**vars(parser.parse_args()))
    configure()
    os.nice(BEHIND_ANSWERS)
    try:
        publication = publish(settings)
    except OSError as error:
        logger.error("prediction log not published, tried again soon", extra={"reason": str(error)})
        return 1
    return 0 if publication.complete else 1


if __name__ == "__main__":
    sys.exit(main())
