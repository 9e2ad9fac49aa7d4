"""How the command line shows what it found: plain text for people, JSON for scripts."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mlops_platform.pipelines.follow import FeaturesResult, TrainingResult
from mlops_platform.services.status import RunStatus, Status, UseCaseStatus


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
    cells = [list(columns), *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "-" if value is None or value == "" else str(value)


def results_text(features: FeaturesResult | None, training: TrainingResult | None) -> str:
    """What came of a run."""
    lines = []
    if features is not None:
        lines.append(f"published snapshot {features.snapshot}" if features.snapshot else "dry run: nothing was written")
    if training is not None:
        lines.append(str(training.verdict))
        if training.promoted:
            lines.append(f"champion is version {training.verdict.model_version}")
        elif training.verdict.accepted:
            lines.append("not promoted: the approval was refused, or nobody answered in time")
    return "\n".join(lines)


def results_content(features: FeaturesResult | None, training: TrainingResult | None) -> dict[str, Any]:
    """The same for a script."""
    return {
        "snapshot": features.snapshot if features else training.verdict.snapshot if training else None,
        "features_run": features.run.run_id if features else None,
        "training_run": training.run.run_id if training else None,
        "verdict": training.verdict.model_dump(mode="json") if training else None,
        "promoted": training.promoted if training else None,
    }


def status_text(status: Status) -> str:
    """The whole platform, a screenful."""
    services = [{"service": one.name, "": "ready" if one.usable else "DOWN"} for one in status.services]
    return "\n\n".join([table(services, ("service", "")), *(_use_case_text(one) for one in status.use_cases)])


def _use_case_text(found: UseCaseStatus) -> str:
    rows = asdict(found)
    facts = [
        ("dataset", rows["dataset"]),
        ("snapshot", rows["snapshot"]),
        ("published", rows["published_at"]),
        ("rows", rows["rows"]),
        ("entities", rows["entities"]),
        ("champion", rows["champion"]),
    ]
    lines = [found.name, *(f"  {name:<10} {_cell(value)}" for name, value in facts)]
    return "\n".join([*lines, *(_run_line(run) for run in found.runs)])


def _run_line(run: RunStatus) -> str:
    note = "".join(f"\n      {line}" for line in (run.note or "").splitlines())
    return f"  last run   {run.dag_id}: {run.state}, {_cell(run.started)} ({run.run_id}){note}"


def replay_text(content: Mapping[str, Any]) -> str:
    """One line per answer of a request: what was recorded, and what comes out now if that is something else."""
    return "\n".join(_replayed_line(answer) for answer in content["answers"])


def _replayed_line(answer: Mapping[str, Any]) -> str:
    subject = f"row {answer['position']}" if answer["id"] is None else f"id {answer['id']}"
    by = f"{answer['variant']}, version {answer['model_version']}{'' if answer['served'] else ', not served'}"
    features = f"features from the {answer['features_from']}"
    recorded, replayed = (
        f"prediction {one['prediction']}, probability {one['probability']}"
        for one in (answer["recorded"], answer["replayed"])
    )
    verdict = "the same again" if answer["same"] else f"NOT the same again: {replayed}"
    return f"{subject} ({by}; {features}): {recorded}; {verdict}"
