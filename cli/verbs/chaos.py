"""``mlops chaos``."""

import itertools
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from cli.installation import installation
from cli.output import as_json, show_progress, table
from cli.parameters import Json, UseCaseArgument
from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos.acts import ACTS
from stack.chaos.container_processes import ContainerProcesses
from stack.chaos.plan import Round, planned_rounds
from stack.chaos.processes import Processes
from stack.chaos.report import COLUMNS, content, failures, longest_seconds, row
from stack.chaos.rounds import Chaos, Outcome
from stack.chaos.targets import targets

LARGEST_SEED = 10**6
QUESTION = (
    "This kills and stops processes of the platform that runs here, {rounds} of them, one after another. Each time a "
    "pipeline of {use_case} is run: a model is trained, often on a new snapshot, and becomes champion if accepted. "
    "What was made stays. Go on?"
)


def chaos(
    use_case: UseCaseArgument,
    *,
    rounds: Annotated[int, typer.Option(min=1, help="how many processes, one after another")] = 10,
    seed: Annotated[int | None, typer.Option(min=0, help="do the same as with this seed [default: a new one]")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    json: Json = False,
) -> None:
    """Kill and stop processes of the running platform while it works, and see that it keeps its promises.

    In each round a pipeline runs (--force), predictions are asked for, and one process is killed (-9) or stopped for a
    while. Afterwards no answer may be wrong, lost or doubled, the run has to succeed, and every service has to be
    healthy again by itself. A round takes as long as the pipeline. The exit code is 1 if anything did not hold.
    """
    settings = installation()
    if settings.mode == "container":
        raise PlatformError("processes of other containers cannot be seen from here", remedy="run it on the machine")
    if not yes:
        typer.confirm(QUESTION.format(rounds=rounds, use_case=use_case.name), abort=True, err=True)
    chosen = secrets.randbelow(LARGEST_SEED) if seed is None else seed
    show_progress(f"seed {chosen}")
    processes = processes_of(settings)
    kinds = targets(processes.services(), containers=settings.mode == "docker")
    planned = _announced(itertools.islice(planned_rounds(chosen, kinds, list(ACTS)), rounds))
    outcomes: list[Outcome] = []
    try:
        for outcome in Chaos(settings, use_case.name, processes, ACTS).outcomes(planned):
            outcomes.append(outcome)
            show_progress(_lines(outcome))
    finally:  # also where it is broken off
        if outcomes:
            typer.echo(as_json(content(outcomes, chosen)) if json else _text(outcomes))
    again = f"mlops chaos {use_case.name} --rounds {rounds} --seed {chosen}"
    if found := failures(outcomes, again, settings):
        show_progress(found)
        raise typer.Exit(1)


def processes_of(settings: PlatformSettings) -> Processes:
    """Those of this installation, whichever mode it runs in."""
    if settings.mode == "docker":
        return ContainerProcesses(settings.project_root)
    from stack.chaos.local_processes import LocalProcesses  # noqa: PLC0415 - the machine of containers has no psutil

    return LocalProcesses(settings)


def _announced(rounds: Iterable[Round]) -> Iterator[Round]:
    for one in rounds:
        show_progress(f"round {one.number}: {one.act} to {one.target.name}, during {one.work}")
        yield one


def _lines(outcome: Outcome) -> str:
    shown = row(outcome)
    found = [f"  {name}: {what}" for name, what in outcome.broken.items()]
    return "\n".join([f"  healthy after {shown['healthy after']}, held: {shown['held']}", *found])


def _text(outcomes: list[Outcome]) -> str:
    seconds = [{"longest until healthy": name, "s": found} for name, found in longest_seconds(outcomes).items()]
    return "\n\n".join([table([row(one) for one in outcomes], COLUMNS), table(seconds, ("longest until healthy", "s"))])
