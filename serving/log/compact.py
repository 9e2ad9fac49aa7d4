"""Keeps the prediction table to few files, although each publication adds one."""

import uuid
from collections.abc import Iterable, Iterator

import pyarrow as pa

from serving.log.schema import conform, union
from serving.log.table import PredictionTable

SMALL_BYTES = 8 * 1024 * 1024
FILES_TO_MERGE = 200
"""As many come together within an hour or so of steady use."""
ROWS_PER_GROUP = 20_000
BYTES_PER_GROUP = 64 * 1024 * 1024


def merge_small_files(table: PredictionTable) -> bool:
    """Put the table's small files together, if there are many. Returns whether there were.

    Nothing published may still be there to be published again: its rows would be in two files.

    Raises:
        OSError: the lake takes no files now; the table stays as it is.
    """
    small = [file for file in table.files() if table.size(file) < SMALL_BYTES]
    if len(small) < FILES_TO_MERGE:
        return False
    schemas = table.schemas()
    small = [file for file in small if file in schemas]
    schema = union(*schemas.values())
    with table.successor() as folder:
        last = small[-1].rpartition("/")[2]
        name = f"{last.partition('-')[0]}-{uuid.uuid4().hex[:8]}"
        with table.new_file(name, schema, folder) as write:
            for rows in _grouped(conform(rows, schema) for file in small for rows in table.row_groups(file)):
                write(rows)
        for file in set(table.files()) - set(small):
            table.carry_over(file, folder)
    return True


def _grouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer, larger parts, which memory holds easily."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part)
        if sum(len(one) for one in held) >= ROWS_PER_GROUP or sum(one.nbytes for one in held) >= BYTES_PER_GROUP:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
