"""Prints the records of one request as a JSON list, from wherever they are: segments, tables, what was set aside.

Workers start it as a process of its own (``serving.log.searcher``).
"""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
import pyarrow as pa

from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.find import all_use_cases
from serving.log.records import MEMBERS, Record, logged_record
from serving.log.segment import CLOSED, OPEN, UNREADABLE, read_lines
from serving.log.table import prediction_tables
from serving.paths import serving_paths


def find(settings: PlatformSettings, request_id: str) -> list[Record]:
    """The request's records as they were logged, by position; none where there is no such request.

    Raises:
        OSError: the log or the lake cannot be read now.
    """
    folder = serving_paths(settings).log
    found = (
        _in_segments(folder, request_id)
        or list(_in_tables(Lake(settings.lake_root), request_id))
        or list(_in_lines(folder.glob(f"*{UNREADABLE}"), request_id))
    )
    return sorted(found, key=lambda record: (record["position"], not record["served"]))


def _in_segments(folder: Path, request_id: str) -> list[Record]:
    while True:
        try:
            return list(_in_lines([*folder.glob(f"*{OPEN}"), *folder.glob(f"*{CLOSED}")], request_id))
        except FileNotFoundError:
            continue  # one was closed or published meanwhile


def _in_lines(files: Iterable[Path], request_id: str) -> Iterator[Record]:
    wanted = request_id.encode()
    for line in (line for file in files for line in read_lines(file) if wanted in line):
        with contextlib.suppress(orjson.JSONDecodeError):
            record = orjson.loads(line)
            if isinstance(record, dict) and record.keys() >= MEMBERS and record["request_id"] == request_id:
                yield record


def _in_tables(lake: Lake, request_id: str) -> Iterator[Record]:
    use_cases = {use_case.name: use_case for use_case in all_use_cases()}
    for table in prediction_tables(lake):
        for row in table.rows_of(request_id):
            yield logged_record(row, use_cases.get(table.use_case))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--request-id", required=True)
    given = parser.parse_args()
    try:
        records = find(PlatformSettings(state_dir=given.state_dir), given.request_id)
    except (OSError, PlatformError, pa.ArrowException) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(orjson.dumps(records))
    return 0


if __name__ == "__main__":
    sys.exit(main())
