"""``mlops snapshots``."""

from typing import Annotated

import typer

from cli.installation import with_lake
from cli.output import as_json, show_rows
from cli.parameters import Json, UseCaseArgument
from cli.verb import verb
from mlops_platform.audit import AuditLog, act_of_the_command_line
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.pipelines.rollback import roll_back

snapshots = typer.Typer(help="Snapshots of features: what is published, and going back.", no_args_is_help=True)


@verb(snapshots, "mlops snapshots list", "mlops snapshots list credit_risk --json", name="list")
def list_snapshots(context: typer.Context, use_case: UseCaseArgument, *, json: Json = False) -> None:
    """List the kept snapshots, the newest first; the published one is marked."""
    found = Snapshots(Lake(with_lake(context).lake_root), use_case.name)
    current = found.current()
    rows = [
        {"published": "*" if current and current.snapshot == one.snapshot else "", **one.model_dump()}
        for one in found.published()
    ]
    show_rows(rows, ("published", "snapshot", "dataset_version", "rows", "entities", "created_at"), json=json)


@verb(snapshots, "mlops snapshots rollback", "mlops snapshots rollback credit_risk --to SNAPSHOT", name="rollback")
def roll_back_snapshot(
    context: typer.Context,
    use_case: UseCaseArgument,
    *,
    to: Annotated[str | None, typer.Option(help="the snapshot [default: the one before the published one]")] = None,
    json: Json = False,
) -> None:
    """Publish a kept snapshot again. The champion stays as it is."""
    settings = with_lake(context)
    act = act_of_the_command_line("snapshot rollback", use_case.name, to=to)
    with AuditLog(Lake(settings.lake_root)).recording(act) as outcome:
        manifest = roll_back(settings, use_case, to)
        outcome.update(snapshot=manifest.snapshot)
    if json:
        typer.echo(as_json(manifest.model_dump()))
    else:
        typer.echo(f"published is {manifest.snapshot} of dataset {manifest.dataset_version}")
