"""Which layout an installation's state has, and the steps from an older one to this platform's.

The lake has it, the one place that both modes have: ``layout.json``, ``{"layout": 2}``. It is looked at by the start of
local processes before any of them runs, and in containers by one that all others wait for: ``python -m
mlops_platform.state``.

| layout | since |
|---|---|
| 1 | the beginning; says nothing of itself |
| 2 | the lake has one door, and all drafts lie in a scratch folder of its own |
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mlops_platform.console import complain, say
from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake, Stored
from mlops_platform.settings import PlatformSettings, load_settings

LAYOUT = 2
KEY = "layout.json"
_DATA = ("raw", "quarantine", "features", "online", "models", "predictions")

Step = Callable[[PlatformSettings], None]


def _without_arriving_drafts(settings: PlatformSettings) -> None:
    """What killed arrivals left beside the versions goes: the next arrival removed it in layout 1, nobody does in 2."""
    # round the door, which never lists names that begin with a dot
    for draft in settings.lake_root.glob("raw/*/.arriving-*"):
        shutil.rmtree(draft)


STEPS: Mapping[int, Step] = {1: _without_arriving_drafts}
"""From each older layout to the next. A step that was killed is done again from its beginning, and must bear that."""


def bring_up_to_date(settings: PlatformSettings, steps: Mapping[int, Step] = STEPS, newest: int = LAYOUT) -> list[str]:
    """Take the state to this platform's layout, step by step; each counts once it is done. Says what was done.

    Nothing else may run on the state meanwhile.

    Raises:
        PlatformError: the state is of a newer platform, or does not say what it is; it stays as it is.
    """
    lake = Lake(settings.lake_root)
    before = lake.load(KEY)
    layout = _layout(settings.lake_root, before, newest)
    if layout > newest:
        raise PlatformError(
            f"the state in {settings.state_dir} has the layout {layout}, this version of the platform knows {newest}",
            remedy="use the version that it comes from or a newer one, or start anew: ./reset.sh",
        )
    done = []
    for older in range(layout, newest):
        steps[older](settings)
        before = _write(lake, older + 1, before)
        done.append(f"The state has the layout {older + 1} now; it was {older}.")
    if before is None:
        _write(lake, newest, None)
    return done


def _layout(lake_root: Path, found: Stored | None, newest: int) -> int:
    if found is None:
        # round the door, which does not list what a killed arrival left: it may be all there is
        return 1 if any((lake_root / folder).exists() for folder in _DATA) else newest
    try:
        layout = json.loads(found.content)["layout"]
    except (ValueError, LookupError, TypeError):
        layout = None
    if type(layout) is not int or layout < 1:
        raise PlatformError(
            f'{KEY} in the lake says {found.content[:80]!r}, expected is {{"layout": a number}}',
            remedy="restore it from a backup, or start anew: ./reset.sh",
        )
    return layout


def _write(lake: Lake, layout: int, before: Stored | None) -> Stored:
    return lake.swap(KEY, (json.dumps({"layout": layout}) + "\n").encode(), before)


def main() -> int:
    """Bring this installation's state up to date; the exit status."""
    try:
        for line in bring_up_to_date(load_settings()):
            say(line)
    except PlatformError as error:
        complain(f"error: {error}")
        return 1
    except OSError as error:
        complain(f"error: the state cannot be brought up to date: {error}. Remedy: see that the disk has room")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
