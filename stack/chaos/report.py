"""What was done and what held, as a table and as data; and how long each kind of process took until all was healthy."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_platform.settings import PlatformSettings
from stack.chaos.rounds import Outcome

COLUMNS = ("round", "done", "to", "during", "healthy after", "answers", "errors", "held")


def row(outcome: Outcome) -> Mapping[str, object]:
    """One round as a line of the table."""
    planned = outcome.round
    at = "" if planned.target.comes_and_goes else f", {planned.step}"
    return {
        "round": planned.number,
        "done": planned.act if outcome.victim else f"nothing ({planned.act})",
        "to": planned.target.name,
        "during": f"{planned.work}{at} +{planned.delay:.1f} s",
        "healthy after": "-" if outcome.seconds is None else f"{outcome.seconds:.0f} s",
        "answers": outcome.answers,
        "errors": outcome.refusals,
        "held": "all" if not outcome.broken else f"not: {', '.join(outcome.broken)}",
    }


def longest_seconds(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """The longest time until all was healthy, by what was done and to which kind, to a tenth of a second."""
    longest: dict[str, float] = {}
    for one in outcomes:
        if one.seconds is not None:
            name = f"{one.round.act} {one.round.target.name}"
            longest[name] = max(longest.get(name, 0.0), round(one.seconds, 1))
    return dict(sorted(longest.items()))


def failures(outcomes: Sequence[Outcome], again: str, settings: PlatformSettings) -> str:
    """What did not hold, in which round, and where the logs are; empty where all held.

    Args:
        again: the command that draws the same rounds.
    """
    found = [f"round {one.round.number}: {name}: {what}" for one in outcomes for name, what in one.broken.items()]
    if not found:
        return ""
    logs = f"{settings.state_dir / 'log'}" if settings.mode == "local" else "`docker compose logs --timestamps SERVICE`"
    return "\n".join([*found, f"the same rounds again: {again}", f"the logs: {logs}"])


def content(outcomes: Sequence[Outcome], seed: int) -> dict[str, Any]:
    """The whole as plain data."""
    return {
        "seed": seed,
        "held": not any(one.broken for one in outcomes),
        "rounds": [_plain(one) for one in outcomes],
        "longest_seconds_to_healthy": longest_seconds(outcomes),
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    planned = outcome.round
    return {
        "round": planned.number,
        "act": planned.act,
        "target": planned.target.name,
        "work": planned.work,
        "step": None if planned.target.comes_and_goes else planned.step,
        "delay": planned.delay,
        **{
            one.name: getattr(outcome, one.name)
            for one in dataclasses.fields(outcome)
            if one.name not in ("round", "broken")
        },
        "broken": dict(outcome.broken),
    }
