"""A real supervisord in a folder of the test's own, whose services are scripts."""

import os

from mlops_platform.settings import PlatformSettings
from stack.supervision import Supervisor

WITH_A_CHILD = "#!/usr/bin/env bash\nsleep 600 & wait\n"


def launched(settings: PlatformSettings, *names: str) -> tuple[PlatformSettings, Supervisor]:
    """Launches it, with a script ``<name>.sh`` for each name that has one child; none is started.

    Returns the settings whose project is that folder. What runs is for the test to end.
    """
    (settings.state_dir / "run").mkdir(parents=True)
    (settings.state_dir / "log").mkdir()
    for name in names:
        script = settings.state_dir / f"{name}.sh"
        script.write_text(WITH_A_CHILD, encoding="utf-8")
        script.chmod(0o755)
    here = settings.model_copy(update={"project_root": settings.state_dir})
    return here, Supervisor.launched(here, dict(os.environ))
