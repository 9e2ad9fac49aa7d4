"""``mlops preview``."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from cli.output import as_json, show_progress, table
from cli.parameters import Json, UseCaseArgument

SHOWN = 20


def preview(
    use_case: UseCaseArgument,
    *,
    entity_id: Annotated[str | None, typer.Option("--id", help="only the rows of this entity")] = None,
    rows: Annotated[int, typer.Option(min=1, help="how many raw rows are made up")] = 1_000,
    file: Annotated[Path | None, typer.Option(help="raw rows of this CSV file, instead of made-up ones")] = None,
    run_date: Annotated[str | None, typer.Option(metavar="DAY", help="the run's date [default: today]")] = None,
    json: Json = False,
) -> None:
    """Show the features that the transform computes as it stands now. No service is asked, and no Spark is started."""
    # each takes a while to load, and other verbs have no use for them
    from mlops_platform.transform import preview as transform  # noqa: PLC0415

    found = transform.features_of(
        use_case, _day(run_date), generated=rows, file=file, entity_id=entity_id, progress=show_progress
    )
    if json:
        typer.echo(as_json(found))
        return
    typer.echo(table(found[:SHOWN], [name for name, _ in use_case.computed_table]))
    if len(found) > SHOWN:
        show_progress(
            f"{SHOWN} of {len(found)} rows; --id shows those of one {use_case.entity_key}, --json all of them"
        )


def _day(text: str | None) -> dt.date:
    if text is None:
        return dt.datetime.now(dt.UTC).date()
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day, such as 2026-11-24", param_hint="--run-date") from None
