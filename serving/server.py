"""The application as a worker process of the server builds it."""

import gc

from mlops_platform.settings import load_settings
from serving.api.gate import Service, create_app
from serving.observe.logs import configure
from serving.workers import end_with_server


def application() -> Service:
    """The factory that the server calls in each worker."""
    configure()
    end_with_server()
    service = create_app(load_settings())
    # libraries and routes stay until the end; a collector that went through them would stop every answer for 50 ms,
    # twice a second under load
    gc.collect()
    gc.freeze()
    return service
