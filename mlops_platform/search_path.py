"""Folders named by one value, separated as in PATH. Standard library only, in syntax that Python 3.8 reads."""

from __future__ import annotations

import os
from pathlib import Path


def search_path(value: str, root: Path) -> tuple[Path, ...]:
    """The folders, absolute and in their order; a relative one is meant from ``root``.

    >>> search_path("mine:/srv/theirs", Path("/project"))
    (PosixPath('/project/mine'), PosixPath('/srv/theirs'))
    """
    return tuple((root / Path(folder).expanduser()).resolve() for folder in value.split(os.pathsep) if folder)
