"""``mlops audit``."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.installation import with_lake
from cli.output import show_rows
from cli.parameters import Json
from mlops_platform.audit import AuditLog, Entry
from mlops_platform.lake.lake import Lake

_COLUMNS = ("at", "who", "source", "action", "use_case", "subject", "result")


def audit(
    context: typer.Context,
    *,
    use_case: Annotated[str | None, typer.Option(metavar="USE_CASE", help="of this one alone")] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], help="UTC [default: all]"),
    ] = None,
    json: Json = False,
) -> None:
    """Show who changed what answers, or who may ask: the oldest act first.

    Promotions, rollbacks, approvals, routing, replays and API keys are on record. An act whose result is unknown goes
    on, or its process was killed.
    """
    log = AuditLog(Lake(with_lake(context).lake_root))
    entries = log.entries(since and since.replace(tzinfo=dt.UTC))
    chosen = [entry for entry in entries if use_case in (None, entry.use_case)]
    rows = [entry.model_dump() for entry in chosen] if json else [_row(entry) for entry in chosen]
    show_rows(rows, _COLUMNS, json=json)


def _row(entry: Entry) -> dict[str, Any]:
    who = entry.who if entry.on_behalf_of is None else f"{entry.who} for {entry.on_behalf_of}"
    result = entry.result if entry.reason is None else f"{entry.result}: {entry.reason}"
    outcome = f" ({_words(entry.outcome)})" if entry.outcome else ""
    return {**entry.model_dump(), "who": who, "subject": _words(entry.subject), "result": f"{result}{outcome}"}


def _words(content: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in content.items() if value is not None)
