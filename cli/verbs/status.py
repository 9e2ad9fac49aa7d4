"""``mlops status``."""

import dataclasses

import typer

from cli.installation import installation
from cli.output import as_json, cell, table
from cli.parameters import Json
from mlops_platform.services.status import RunStatus, Status, UseCaseStatus, platform_status


def status(context: typer.Context, *, json: Json = False) -> None:
    """Show what runs and what is published."""
    found = platform_status(installation(context))
    typer.echo(as_json(dataclasses.asdict(found)) if json else status_text(found))


def status_text(found: Status) -> str:
    """The whole platform, a screenful."""
    services = [{"service": one.name, "": "ready" if one.usable else "DOWN"} for one in found.services]
    return "\n\n".join([table(services, ("service", "")), *(_use_case_text(one) for one in found.use_cases)])


def _use_case_text(found: UseCaseStatus) -> str:
    facts = {
        "dataset": found.dataset,
        "snapshot": found.snapshot,
        "published": found.published_at,
        "rows": found.rows,
        "entities": found.entities,
        "champion": found.champion,
    }
    lines = [found.name, *(f"  {name:<10} {cell(value)}" for name, value in facts.items())]
    return "\n".join([*lines, *(_run_line(run) for run in found.runs)])


def _run_line(run: RunStatus) -> str:
    note = "".join(f"\n      {line}" for line in (run.note or "").splitlines())
    return f"  last run   {run.dag_id}: {run.state}, {cell(run.started)} ({run.run_id}){note}"
