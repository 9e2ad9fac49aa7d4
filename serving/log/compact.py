"""Keeps the prediction table to few files, although each publication adds one.

Many small files become one in a new folder of the table, and the others are linked there; it appears whole, and from
then on it is the table's folder. So a query meets all records in the one folder or in the other. The folder before
stays for the queries that are under way; it costs the small files' room, since what is linked exists once.
"""

import os
import shutil
import time
from pathlib import Path

import pyarrow.dataset as ds

from mlops_platform.files import link_or_copy, sync_folder
from mlops_platform.lake.layout import Lake
from mlops_platform.use_case.spec import UseCase
from serving.log.table import files_folder, folders, next_folder, schema

SMALL_BYTES = 8 * 1024 * 1024
FILES_TO_MERGE = 200
"""As many come together within an hour or so of steady use."""
ROWS_PER_GROUP = 20_000
KEPT_SECONDS = 3600.0


def merge_small_files(lake: Lake, use_case: UseCase) -> Path | None:
    """Put the table's small files together, if there are many. Returns the new folder.

    Nothing else may publish meanwhile, and nothing published may still be there to be published again.

    Raises:
        OSError: the lake takes no files now; the table stays as it is.
    """
    folder = files_folder(lake, use_case.name)
    files = sorted(folder.glob("*.parquet"))
    small = [file for file in files if file.stat().st_size < SMALL_BYTES]
    if len(small) < FILES_TO_MERGE:
        return None
    target = next_folder(folder)
    draft = target.with_name(f".{target.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        _write_merged(small, draft, use_case)
        for file in set(files) - set(small):
            link_or_copy(file, draft / file.name)
        sync_folder(draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    os.utime(folder)  # from now on it is kept for a while only
    draft.rename(target)
    sync_folder(target.parent)
    return target


def remove_old_folders(lake: Lake, use_case: str) -> None:
    """Remove what has not been the table's folder for longer than a query takes."""
    for folder in folders(lake, use_case)[:-1]:
        if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder)


def _write_merged(files: list[Path], folder: Path, use_case: UseCase) -> None:
    """One file of all their rows, in the order of the files, named after the last one."""
    rows = ds.dataset([str(file) for file in files], schema=schema(use_case), format="parquet")
    written: list[str] = []
    ds.write_dataset(
        rows,
        folder,
        format="parquet",
        basename_template=f"{files[-1].stem}-{{i}}.parquet",
        min_rows_per_group=ROWS_PER_GROUP,
        max_rows_per_group=2 * ROWS_PER_GROUP,
        use_threads=False,
        preserve_order=True,
        file_visitor=lambda file: written.append(file.path),
    )
    for path in written:
        with Path(path).open("rb") as file:
            os.fsync(file.fileno())
