"""``mlops logs``."""

import json as json_text
from typing import Annotated

import typer

from cli.installation import installation
from cli.parameters import Json
from mlops_platform.services.table import services
from stack.logs import log_lines


def _names() -> list[str]:
    return [service.name for service in services(installation())]


def logs(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", autocompletion=_names, help="as `mlops status` names it")
    ],
    *,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="how many of the last lines")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what comes, until Ctrl-C")] = False,
    json: Json = False,
) -> None:
    """Show the log of a service, also where it is down. With --json each line is an object of its own."""
    for line in log_lines(installation(), service, last=lines, follow=follow):
        typer.echo(json_text.dumps({"service": service, "line": line}) if json else line)
