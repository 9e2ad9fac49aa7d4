"""Runs the prediction service in the foreground: ``python -m serving``.

``python -m serving serve``, as SageMaker starts a container, serves the model in ``/opt/ml/model`` (container.py).
"""

import contextlib
import os
import ssl
import sys
from pathlib import Path

from granian.constants import HTTPModes, Interfaces

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings, load_settings
from serving import container
from serving.observe.shared_figures import share_between_workers
from serving.paths import serving_paths
from serving.workers import DRAIN_SECONDS, EnduringServer

CONNECTIONS_AT_ONCE = 1024


def serve(settings: PlatformSettings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Raises:
        PlatformError: TLS is asked for, and its files cannot be used.
    """
    certificate, key = _tls(settings)
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
        ssl_cert=certificate,
        ssl_key=key,
    ).serve()


def _tls(settings: PlatformSettings) -> tuple[Path | None, Path | None]:
    """The certificate's and the key's file, or neither.

    Raises:
        PlatformError: there is one without the other, or they cannot be used together.
    """
    certificate, key = settings.serving_tls_certificate, settings.serving_tls_key
    if certificate is None and key is None:
        return None, None
    try:
        if certificate is None or key is None:
            raise ValueError("there is one without the other")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise PlatformError(
            f"TLS: the certificate {certificate} and the key {key} cannot be used ({error})",
            remedy="set MLOPS_SERVING_TLS_CERTIFICATE and MLOPS_SERVING_TLS_KEY to files in PEM that belong together; "
            "the key without a password",
        ) from None
    return certificate, key


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
        serve(load_settings())
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
