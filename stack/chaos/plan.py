"""What is done in which round, drawn from a seed: the same seed on the same platform gives the same rounds."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stack.chaos.targets import Target
from stack.chaos.work import STEPS, Work

KILL = "kill -9"
KILLS_BETWEEN_OTHERS = 2
LONGEST_DELAY = 6.0
SHORTEST_PAUSE, LONGEST_PAUSE = 5.0, 20.0


@dataclass(frozen=True)
class Round:
    """One round: what is done (``act``) to a process of which kind, during which work, and when.

    The act comes ``delay`` seconds after the task ``step`` of the work has begun; to a process that comes and goes, so
    long after it has come. An act that ends by itself lasts ``pause`` seconds.
    """

    number: int
    target: Target
    act: str
    work: Work
    step: str
    delay: float
    pause: float


def planned_rounds(seed: int, targets: Sequence[Target], acts: Sequence[str]) -> Iterator[Round]:
    """Rounds without end. After two kills comes something else; the kills go through all kinds before one comes again.

    Args:
        acts: by their names; what is done besides is drawn from those that are not ``KILL``.
    """
    draw = random.Random(seed)  # noqa: S311 - no secret: a plan that can be had again
    kills = _in_turn(draw, targets)
    others = [act for act in acts if act != KILL]
    number = 0
    while True:
        number += 1
        if others and number % (KILLS_BETWEEN_OTHERS + 1) == 0:
            yield _round(draw, number, draw.choice(targets), draw.choice(others))
        else:
            yield _round(draw, number, next(kills), KILL)


def _in_turn(draw: random.Random, targets: Sequence[Target]) -> Iterator[Target]:
    while True:
        yield from draw.sample(targets, len(targets))


def _round(draw: random.Random, number: int, target: Target, act: str) -> Round:
    work = target.work or draw.choice(list(Work))
    step = draw.choice(STEPS[work])
    delay = round(draw.uniform(0, LONGEST_DELAY), 1)
    pause = round(draw.uniform(SHORTEST_PAUSE, LONGEST_PAUSE), 1)
    return Round(number, target, act, work, step, delay, pause)
