"""Measurements as tables: medians over the rounds, and ratios."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.load import Case, Measured, Server

Figures = Mapping[str, float | int | str]
Found = Mapping[Case, Sequence[Measured]]


def summary(found: Found, bare_name: str) -> list[Figures]:
    """One line per case, with ratios to the bare application under as many connections; errors of all rounds."""
    medians = {case: _medians(runs) for case, runs in found.items()}
    bare = {case.connections: run for case, run in medians.items() if case.name == bare_name}
    return [
        {
            "case": case.name,
            "connections": case.connections,
            "requests_per_second": round(run.requests_per_second),
            "predictions_per_second": round(run.requests_per_second * case.predictions),
            "cpu_us": round(run.cpu_microseconds, 1),
            "cores": round(run.cores, 2),
            "others": round(run.others, 2),
            "p99_ms": round(run.p99_ms, 2),
            "rate_ratio": round(run.requests_per_second / bare[case.connections].requests_per_second, 4),
            "cpu_ratio": round(bare[case.connections].cpu_microseconds / run.cpu_microseconds, 4),
            "p99_ratio": round(run.p99_ms / bare[case.connections].p99_ms, 2),
            "errors": run.errors,
        }
        for case, run in medians.items()
    ]


def against_first(found: Found, first: Server, other: Server) -> list[Figures]:
    """One service against the first, request by request: medians of the ratios within each round."""
    runs = {(case.server, case.connections, case.request): (case, of_case) for case, of_case in found.items()}
    lines: list[Figures] = []
    for (server, connections, request), (case, theirs) in runs.items():
        if server == other:
            _, ours = runs[first, connections, request]
            pairs = list(zip(theirs, ours, strict=True))
            lines.append(
                {
                    "to the first service": case.name,
                    "connections": connections,
                    "requests_per_second": round(
                        statistics.median(one.requests_per_second / base.requests_per_second for one, base in pairs), 2
                    ),
                    "cpu_us": round(
                        statistics.median(one.cpu_microseconds / base.cpu_microseconds for one, base in pairs), 2
                    ),
                    "p99_ms": round(statistics.median(one.p99_ms / base.p99_ms for one, base in pairs), 2),
                }
            )
    return lines


def table(figures: Sequence[Figures]) -> str:
    names = list(figures[0])
    lines = [names, *([_cell(figure[name]) for name in names] for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _cell(value: float | int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _medians(runs: Sequence[Measured]) -> Measured:
    return Measured(
        requests_per_second=statistics.median(run.requests_per_second for run in runs),
        cpu_microseconds=statistics.median(run.cpu_microseconds for run in runs),
        cores=statistics.median(run.cores for run in runs),
        others=statistics.median(run.others for run in runs),
        p99_ms=statistics.median(run.p99_ms for run in runs),
        errors=sum(run.errors for run in runs),
    )
