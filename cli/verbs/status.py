"""``mlops status``."""

import datetime as dt

import typer

from cli.installation import installation
from cli.output import as_json, cell, table
from cli.parameters import Json
from mlops_platform.errors import PlatformError
from mlops_platform.services.health import HealthReport, RunStatus, UseCaseStatus, read_report


def status(*, json: Json = False) -> None:
    """Show what runs and what is published, as the watcher saw it last. Needs no service."""
    report = read_report(installation())
    if report is None:
        raise PlatformError("the platform was never started", remedy="start it with ./start.sh")
    now = dt.datetime.now(dt.UTC)
    if json:
        away = {"watcher_is_away": report.watcher_is_away(now)}
        typer.echo(as_json(report.model_dump(mode="json") | away))
    else:
        typer.echo(status_text(report, now))


def status_text(report: HealthReport, now: dt.datetime) -> str:
    """The whole platform, a screenful."""
    services = [{"service": one.name, "": "ready" if one.usable else "DOWN"} for one in report.services]
    away = f"The watcher is away: this is how it was at {report.at:%Y-%m-%d %H:%M:%S} UTC."
    still = "\n".join(f"{one.subject} {one.what}, for {one.seconds:.0f} s" for one in report.lasting_standstills)
    use_cases = (_use_case_text(one) for one in report.use_cases)
    parts = [away if report.watcher_is_away(now) else "", table(services, ("service", "")), still, *use_cases]
    return "\n\n".join(filter(None, parts))


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
    if found.not_compiled is not None:
        lines.append(f"      run by scikit-learn, slower than a compiled form: {found.not_compiled}")
    return "\n".join([*lines, *(_run_line(run) for run in found.runs)])


def _run_line(run: RunStatus) -> str:
    note = "".join(f"\n      {line}" for line in (run.note or "").splitlines())
    return f"  last run   {run.dag_id}: {run.state}, {cell(run.started)} ({run.run_id}){note}"
