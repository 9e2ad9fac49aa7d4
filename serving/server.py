"""The application as a worker process of the server builds it."""

from mlops_platform.settings import load_settings
from serving.json_logs import configure
from serving.service import Service, create_app


def application() -> Service:
    """The factory that the server calls in each worker."""
    configure()
    return create_app(load_settings())
