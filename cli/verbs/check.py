"""``mlops check``."""

import ast
import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import as_json, table
from cli.parameters import Json, UseCaseArgument

if TYPE_CHECKING:
    from mlops_platform.transform.check import Finding
    from mlops_platform.transform.compiled import CompiledTransform


def check(
    use_case: UseCaseArgument,
    *,
    rows: Annotated[int, typer.Option(min=2, help="how many raw rows are made up")] = 500,
    file: Annotated[Path | None, typer.Option(help="raw rows of this CSV file, instead of made-up ones")] = None,
    json: Json = False,
) -> None:
    """Check that features are row for row, the same in any order, of one entity, known at the time, and no leak."""
    # each takes a while to load, and other verbs have no use for them
    from mlops_platform.transform.check import check as find  # noqa: PLC0415
    from mlops_platform.transform.preview import compiled_beside_rows  # noqa: PLC0415

    compiled, raw = compiled_beside_rows(use_case, generated=rows, file=file)
    findings = find(compiled, use_case, raw, dt.datetime.now(dt.UTC).date())
    if json:
        typer.echo(as_json([asdict(finding) for finding in findings]))
    elif not findings:
        typer.echo(f"{use_case.name}: nothing found on {raw.num_rows} rows and awkward ones made of them")
    else:
        typer.echo("\n\n".join(_shown(finding, compiled) for finding in findings))
    if any(finding.act == "fail" for finding in findings):
        raise typer.Exit(1)


def _shown(finding: "Finding", compiled: "CompiledTransform") -> str:
    lines = [f"{finding.act}: {_place(finding, compiled)}: {finding.what}", f"  Remedy: {finding.remedy}"]
    if finding.rows:
        lines += ["", table(finding.rows, list(finding.rows[0]))]
        lines.append(
            f"result: {finding.result!r}, expected: {finding.expected!r}"
            if finding.expected
            else f"result: {finding.result!r}"
        )
    return "\n".join(lines)


def _place(finding: "Finding", compiled: "CompiledTransform") -> str:
    """The line where the feature gets its name, as far as a text in the source tells."""
    for node in ast.walk(ast.parse(compiled.transform.sources["features.py"])):
        if isinstance(node, ast.Constant) and node.value == finding.feature and finding.feature is not None:
            return f"features.py, line {node.lineno}"
    return "features.py"
