"""Runs the prediction service in the foreground: ``python -m serving``.

``python -m serving serve``, as SageMaker starts a container, serves the model in ``/opt/ml/model`` (container.py).
"""

import contextlib
import os
import sys

from granian.constants import HTTPModes, Interfaces

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings, load_settings
from serving import container
from serving.observe.shared_figures import share_between_workers
from serving.paths import serving_paths
from serving.workers import DRAIN_SECONDS, EnduringServer

CONNECTIONS_AT_ONCE = 1024


def serve(settings: PlatformSettings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first."""
    if settings.serving_workers > 1:
        share_between_workers(serving_paths(settings).metrics)
    _let_threads_finish()
    EnduringServer(
        "serving.server:application",
        factory=True,
        address=settings.bind_address,
        port=settings.serving_port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.serving_workers,
        backlog=CONNECTIONS_AT_ONCE,
        workers_kill_timeout=DRAIN_SECONDS,
    ).serve()


def _let_threads_finish() -> None:
    """Have no thread of the service stopped for another of its threads that just became runnable.

    A request goes through three threads of a worker. Where they share a core, Linux would switch to the next one with
    every request; so it does for all that are there at once. Threads and workers that are started later inherit this.
    """
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # a sandbox may forbid it; it is a matter of speed only
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def main() -> int:
    try:
        if sys.argv[1:] == ["serve"]:
            os.environ.update(container.adopt_model(load_settings()))  # the workers read it too
        settings = load_settings()
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    serve(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
