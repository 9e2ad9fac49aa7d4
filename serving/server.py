"""The application as a worker process of the server builds it."""

import gc

from mlops_platform.settings import load_settings
from serving.json_logs import configure
from serving.service import Service, create_app


def application() -> Service:
    """The factory that the server calls in each worker."""
    configure()
    service = create_app(load_settings())
    # libraries and routes stay until the end; a collector that went through them would stop every answer for 50 ms,
    # twice a second under load
    gc.collect()
    gc.freeze()
    return service
