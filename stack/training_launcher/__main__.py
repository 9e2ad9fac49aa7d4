"""The launcher as a process; what it is told is in its environment."""

import os
from pathlib import Path

from docker import DockerClient

from mlops_platform.lake.lake import Lake
from mlops_platform.services.probes import TRAINING_LAUNCHER_PORT
from stack.training_launcher.app import application, server
from stack.training_launcher.containers import Launch, TrainingContainers

SOCKET = "unix:///var/run/docker.sock"


def main() -> None:
    """Serves until it is stopped."""
    lake = Lake(Path(os.environ["MLOPS_STATE_DIR"]) / "lake")
    containers = TrainingContainers(DockerClient(SOCKET), Launch.from_environment(os.environ), lake)
    app = application(containers, os.environ["MLOPS_TRAINING_LAUNCHER_TOKEN"])
    server(app, "0.0.0.0", TRAINING_LAUNCHER_PORT).run()  # noqa: S104 - only the scheduler is on its network


if __name__ == "__main__":
    main()
