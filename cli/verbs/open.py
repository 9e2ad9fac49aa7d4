"""``mlops open``."""

import webbrowser
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import Json
from stack.pages import Page, address


def open_page(page: Annotated[Page, typer.Argument(help="whose page")], *, json: Json = False) -> None:
    """Open a page of the platform in the browser, and say where it is and how one logs in."""
    url, login = address(installation().public, page)
    if json:
        typer.echo(as_json({"url": url, "login": login}))
    else:
        typer.echo(f"{url}  {login}")
        webbrowser.open(url)
