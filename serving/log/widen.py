"""Gives the files of a prediction table the types that its columns have after a feature's type changed."""

from collections.abc import Mapping

import pyarrow as pa

from serving.log.schema import is_within
from serving.log.table import PredictionTable


def widen(table: PredictionTable, found: Mapping[str, pa.Schema], schema: pa.Schema) -> None:
    """Rewrite the files whose columns, as they were found, have narrower types than the schema's.

    Raises:
        OSError: the lake takes no files now; the table stays as it is.
    """
    narrow = {file for file, columns in found.items() if not is_within(columns, schema)}
    if not narrow:
        return
    with table.successor() as folder:
        for file in table.files():
            if file not in narrow:
                table.carry_over(file, folder)
                continue
            with table.new_file(file.rpartition("/")[2].removesuffix(".parquet"), schema, folder) as write:
                for rows in table.row_groups(file):
                    write(rows)
