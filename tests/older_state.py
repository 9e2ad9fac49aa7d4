"""The state of commit 3057a11, as ``e2e/layout_1.tar.xz`` has it: ``e2e/test_older_state.py`` says how it was made."""

import tarfile
from pathlib import Path

PACKED = Path(__file__).parent / "e2e" / "layout_1.tar.xz"


def unpack_older_state(target: Path, *below: str) -> None:
    """Put it below ``target``, links and all; only what is below these folders, if any is named."""
    with tarfile.open(PACKED) as archive:
        # the archive is this project's own; the first releases of Python 3.11 know no filters
        archive.extraction_filter = lambda member, _: member
        archive.extractall(target, [one for one in archive if not below or one.name.startswith(below)])  # noqa: S202
