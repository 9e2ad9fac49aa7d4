"""Publishes closed segments of the prediction log as files of the Hive tables.

Workers start it as a process of its own when they close a segment. A file is named after its segment, so a crash
between writing the one and removing the other doubles nothing. One process publishes at a time.
"""

import argparse
import contextlib
import fcntl
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from mlops_platform.errors import PlatformError
from mlops_platform.files import write_text
from mlops_platform.lake.layout import Lake, uri
from mlops_platform.online_store.hive import HiveUnavailable, run_query
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import UseCase
from serving.log.compact import merge_small_files, remove_old_folders
from serving.log.segment import CLOSED, UNREADABLE, close_abandoned, read_records
from serving.log.table import files_folder, table_file, table_statements
from serving.observe.logs import configure
from serving.paths import serving_paths

logger = logging.getLogger("serving.log.publish")

RECORDS_AT_ONCE = 20_000
"""Some 30 MB of memory, however many a segment has."""
BEHIND_ANSWERS = 10
"""Niceness: where cores are few, answers go first."""

_TABLE_MADE = "table_made"


def publish(settings: PlatformSettings) -> int:
    """Turn every closed segment, and those of dead workers, into files of the tables.

    Returns how many segments; none while another process publishes.

    Raises:
        OSError: the lake takes no files now; what is not published stays for the next time.
    """
    folder = serving_paths(settings).log
    with _alone(folder) as alone:
        return _publish_closed(folder, settings) if alone else 0


def _publish_closed(folder: Path, settings: PlatformSettings) -> int:
    lake = Lake(settings.lake_root)
    published = 0
    close_abandoned(folder)
    # a segment that was closed meanwhile is found by looking again
    while segments := sorted(folder.glob(f"*{CLOSED}")):
        for segment in segments:
            try:
                _publish_segment(segment, lake)
                published += 1
            except (PlatformError, KeyError, TypeError, ValueError) as error:
                _set_aside(segment, error)
    for use_case in all_use_cases():
        if files_folder(lake, use_case.name).exists():
            merge_small_files(lake, use_case)
            if _show_table(use_case, lake, settings):
                remove_old_folders(lake, use_case.name)
    return published


def _publish_segment(segment: Path, lake: Lake) -> None:
    writers: dict[str, Callable[[Sequence[dict[str, object]]], None]] = {}
    lines = read_records(segment)
    with contextlib.ExitStack() as files:
        while records := list(itertools.islice(lines, RECORDS_AT_ONCE)):
            for name in {str(record["use_case"]) for record in records}:
                if name not in writers:
                    target = files_folder(lake, name) / f"{segment.stem}.parquet"
                    writers[name] = files.enter_context(table_file(get_use_case(name), target))
                writers[name]([record for record in records if record["use_case"] == name])
    segment.unlink()


def _set_aside(segment: Path, error: Exception) -> None:
    """Keep what is no record, or of no use case that there is, so that it does not hold up what comes after it."""
    aside = segment.with_suffix(UNREADABLE)
    segment.rename(aside)
    # a library's own words may repeat the values of a row
    reason = str(error) if isinstance(error, PlatformError) else type(error).__name__
    logger.error("segment of the prediction log not published", extra={"kept_as": str(aside), "reason": reason})


def _show_table(use_case: UseCase, lake: Lake, settings: PlatformSettings) -> bool:
    """Tell Hive where the table is, where that is news. While Hive is down the next publication tries again."""
    mark = serving_paths(settings).log / f"{use_case.name}.{_TABLE_MADE}"
    location = uri(files_folder(lake, use_case.name))
    if mark.exists() and mark.read_text(encoding="utf-8") == location:
        return True
    try:
        for statement in table_statements(use_case, uri(lake.root / "predictions"), location):
            run_query(settings.hiveserver2_host, settings.hiveserver2_port, statement, {})
    except HiveUnavailable as error:
        logger.warning("prediction table not made yet", extra={"use_case": use_case.name, "reason": str(error)})
        return False
    write_text(mark, location)
    return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process publishes now."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".publishing").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--hiveserver2-host", required=True)
    parser.add_argument("--hiveserver2-port", type=int, required=True)
    settings = PlatformSettings(**vars(parser.parse_args()))
    configure()
    os.nice(BEHIND_ANSWERS)
    try:
        publish(settings)
    except OSError as error:
        logger.error("prediction log not published, tried again soon", extra={"reason": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
