"""``mlops doctor``."""

import dataclasses
import datetime as dt
import json
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json, show_progress
from cli.parameters import Json
from mlops_platform.services.doctor import Finding, examine, examine_data, examine_services
from mlops_platform.settings import PROJECT_ROOT
from stack.bare import compose
from stack.bare.installation import Refused


def doctor(
    *,
    data: Annotated[bool, typer.Option("--data", help="only DAG files, lake, Hive, online stores and models")] = False,
    json: Json = False,
) -> None:
    """Find what is wrong, and how to mend it.

    Tells what the watcher found of the services and of Airflow, and checks the disk, the DAG files, and that snapshot,
    Hive and online store agree. The exit code is 1 if anything is wrong.
    """
    settings, now = installation(), dt.datetime.now(dt.UTC)
    if settings.mode == "docker":
        findings = [] if data else examine_services(settings, now)
        findings += _data_in_container()
    else:
        findings = examine_data(settings, now) if data else examine(settings, now)
    if json:
        typer.echo(as_json([dataclasses.asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.subject}: {finding.what}. Remedy: {finding.remedy}")
        if not findings:
            typer.echo("nothing is wrong")
    if findings:
        raise typer.Exit(1)


def _data_in_container() -> list[Finding]:
    """What is found where the lake is; that it could not be looked at is a finding itself."""
    show_progress(f"the data is looked at in the container {compose.INSIDE}, which has the lake")
    try:
        found = json.loads(compose.output_of_mlops(PROJECT_ROOT, ["doctor", "--data", "--json"]))
    except (Refused, ValueError) as error:
        return [Finding("data", f"it could not be looked at: {error}", "start the platform with ./start.sh")]
    return [Finding(**one) for one in found]
