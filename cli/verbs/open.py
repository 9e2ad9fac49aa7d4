"""``mlops open``."""

import enum
import webbrowser
from typing import Annotated

import typer

from cli.output import as_json
from cli.parameters import Json
from mlops_platform.settings import PlatformSettings, load_settings


class Page(enum.StrEnum):
    """What can be looked at in a browser."""

    AIRFLOW = "airflow"
    API = "api"
    JUPYTER = "jupyter"
    MLFLOW = "mlflow"
    SPARK = "spark"


def open_page(
    page: Annotated[Page, typer.Argument(help="whose page")],
    *,
    json: Json = False,
) -> None:
    """Open a page of the platform in the browser, and say where it is and how one logs in."""
    url, login = _address(load_settings().public, page)
    if json:
        typer.echo(as_json({"url": url, "login": login}))
    else:
        typer.echo(f"{url} ({login})")
        webbrowser.open(url)


def _address(settings: PlatformSettings, page: Page) -> tuple[str, str]:
    """The page's URL on this machine, and how one logs in: where a secret stands, never the secret."""
    host = "http://127.0.0.1"
    return {
        Page.AIRFLOW: (
            settings.airflow_url,
            "user admin, the password is MLOPS_AIRFLOW_ADMIN_PASSWORD in .env",
        ),
        Page.API: (f"{settings.serving_url}/docs", "no login"),
        Page.JUPYTER: (f"{host}:{settings.jupyter_port}", "the token is MLOPS_JUPYTER_TOKEN in .env"),
        Page.MLFLOW: (settings.mlflow_url, "no login"),
        Page.SPARK: (f"{host}:{settings.spark_master_ui_port}", "no login"),
    }[page]
