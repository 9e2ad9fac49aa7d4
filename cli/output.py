"""How verbs show what they found: plain text for people, JSON for scripts."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def as_json(content: Any) -> str:
    """The content as indented JSON; times are in ISO form."""
    return json.dumps(content, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """The rows under a header, each column as wide as its longest value.

    >>> print(table([{"version": 1, "rows": 100}, {"version": 12, "rows": None}], ["version", "rows"]))
    version  rows
    1        100
    12       -
    """
    cells = [list(columns), *([cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def cell(value: Any) -> str:
    """One value as text: a time to the minute, ``-`` where there is none."""
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "-" if value is None or value == "" else str(value)


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Print a listing: these columns for people, everything for scripts."""
    typer.echo(as_json(rows) if json else table(rows, columns))


def show_progress(line: str) -> None:
    """Print a line beside the result."""
    typer.echo(line, err=True)
