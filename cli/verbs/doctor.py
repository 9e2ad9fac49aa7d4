"""``mlops doctor``."""

import dataclasses
import datetime as dt

import typer

from cli.installation import installation
from cli.output import as_json
from cli.parameters import Json
from mlops_platform.services.doctor import examine


def doctor(context: typer.Context, *, json: Json = False) -> None:
    """Find what is wrong, and how to mend it.

    Checks the services, the disk, the DAG files, and that snapshot, Hive and online store agree. The exit code is 1 if
    anything is wrong.
    """
    findings = examine(installation(context), dt.datetime.now(dt.UTC))
    if json:
        typer.echo(as_json([dataclasses.asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.subject}: {finding.what}. Remedy: {finding.remedy}")
        if not findings:
            typer.echo("nothing is wrong")
    if findings:
        raise typer.Exit(1)
