"""What has to hold after each round, whatever was killed. Each invariant is a function of what the round left behind.

It returns None where it holds, and otherwise what was found. Errors are allowed while something is down; wrong answers
never.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stack.chaos.traffic import Answer, Refusal

_SHOWN = 3


@dataclass(frozen=True)
class Observation:
    """All that a round left behind. Times are seconds since 1970."""

    answers: Sequence[Answer]
    wrong: Sequence[str]
    """Answers that nobody should ever get."""
    refusals: Sequence[Refusal]
    """Requests that got no prediction."""
    healthy_at: float | None
    """When every service was usable again and predictions were answered; None where that did not come to be."""
    ailing: Sequence[str]
    """What was not well in the end."""
    killed: tuple[float, float] | None
    """From when to when what holds answers was being killed; None where it was not."""
    bound: float
    """The seconds that the prediction log may take for a record."""
    rows: Mapping[str, int]
    """Served rows of the log by request, since the first round."""
    logged: Collection[str]
    """The requests of earlier rounds that were in the log after them."""
    replays: Mapping[str, Any]
    """By request what the service says of it today, or why it says nothing."""
    unfit: Mapping[tuple[str, str], str]
    """Pairs (snapshot, model version) that answered and must not do so together, with the reason."""
    run_failure: str | None
    """Why the run that was under way did not end well."""
    disagreements: Sequence[str]
    """What stores say of each other that they did not say before the first round."""


def may_be_lost(answer: Answer, killed: tuple[float, float] | None, bound: float) -> bool:
    """Whether the answer's record may not have been on disk yet when the process ended that had it."""
    return killed is not None and killed[0] - bound <= answer.at <= killed[1]


Same = tuple[str, str, str, str]


def same_question(answer: Answer) -> Same:
    """Answers that have this in common have to be the same."""
    return answer.entity_id, answer.snapshot, answer.model_version, answer.variant


def no_answer_is_wrong(seen: Observation) -> str | None:
    """Every prediction is what snapshot and model that it names say: the same for the same question, and for each
    question one is computed again (``representatives``)."""
    if seen.wrong:
        return _some("wrong answers", seen.wrong)
    first: dict[Same, Answer] = {}
    differing = []
    for answer in seen.answers:
        other = first.setdefault(same_question(answer), answer)
        if _said(answer) != _said(other):
            differing.append(f"{answer.request_id} says {_said(answer)}, {other.request_id} says {_said(other)}")
    if differing:
        return _some("answers to the same question that differ", differing)
    by_request = {answer.request_id: answer for answer in seen.answers}
    wrong = [found for name, replay in seen.replays.items() if (found := _wrong(by_request[name], replay))]
    return _some("answers that are not what snapshot and model say", wrong) if wrong else None


def _said(answer: Answer) -> tuple[int, float, str | None]:
    return answer.prediction, answer.probability, answer.feature_date


def _wrong(answer: Answer, replay: Any) -> str | None:
    if isinstance(replay, str):
        return f"{answer.request_id} cannot be computed again: {replay}"
    for one in replay["answers"]:
        if one["served"]:
            now = one["replayed"]["prediction"], one["replayed"]["probability"]
            if now != (answer.prediction, answer.probability):
                return f"{answer.request_id} said {answer.prediction}, {answer.probability}; computed again it is {now}"
            if (one["snapshot"], one["model_version"]) != answer.pair:
                return f"{answer.request_id} named {answer.pair}, its record {one['snapshot']}, {one['model_version']}"
            if one["features_from"] != "snapshot":
                return f"{answer.request_id} cannot be computed from its snapshot, which is gone"
            return None
    return f"{answer.request_id} has no served record"


def representatives(answers: Sequence[Answer], rows: Mapping[str, int]) -> list[str]:
    """For each question the request that is computed again for all: the first that is in the log."""
    chosen: dict[Same, str] = {}
    for answer in answers:
        if answer.request_id in rows:
            chosen.setdefault(same_question(answer), answer.request_id)
    return list(chosen.values())


def no_mixture_answers(seen: Observation) -> str | None:
    """Every pair of snapshot and model that answered was published, and fits."""
    return _some("pairs that answered", [f"{pair}: {why}" for pair, why in seen.unfit.items()]) if seen.unfit else None


def stores_agree(seen: Observation) -> str | None:
    """Lake, Hive, online store and registry say the same."""
    return _some("disagreements", seen.disagreements) if seen.disagreements else None


def no_answer_is_lost(seen: Observation) -> str | None:
    """Every answer is in the log, but those that were younger than the log's bound when their process was killed; and
    what was in it still is."""
    lost = [*missing(seen.answers, seen.rows, seen.killed, seen.bound), *sorted(set(seen.logged) - seen.rows.keys())]
    return _some("answers that are not in the log", lost) if lost else None


def missing(
    answers: Sequence[Answer], rows: Mapping[str, int], killed: tuple[float, float] | None, bound: float
) -> list[str]:
    """The requests whose records have to be in the log and are not."""
    return [one.request_id for one in answers if one.request_id not in rows and not may_be_lost(one, killed, bound)]


def no_answer_is_doubled(seen: Observation) -> str | None:
    """Every request was answered once, and is in the log once."""
    asked = Counter(answer.request_id for answer in seen.answers)
    again = [f"{name} answered {count} times" for name, count in asked.items() if count > 1]
    ours = {*asked, *seen.logged}
    again += [f"{name} has {count} rows" for name, count in seen.rows.items() if count > 1 and name in ours]
    return _some("answers that are there more than once", again) if again else None


def the_run_succeeded(seen: Observation) -> str | None:
    """The run that was under way succeeded, or was retried to success by itself."""
    return seen.run_failure


def every_service_is_healthy(seen: Observation) -> str | None:
    """Every service was usable again by its deadline, without a person, and still is at the end."""
    if seen.healthy_at is None or seen.ailing:
        return _some("not well", seen.ailing or ["predictions are not answered"])
    return None


def no_error_once_healthy(seen: Observation) -> str | None:
    """Once everything is usable again, every request is answered."""
    late = [one.what for one in seen.refusals if seen.healthy_at is not None and one.sent > seen.healthy_at]
    return _some("errors after everything was usable again", late) if late else None


def name_of(invariant: Callable[[Observation], str | None]) -> str:
    """What the table calls it."""
    return invariant.__name__.replace("_", " ")


INVARIANTS: Mapping[str, Callable[[Observation], str | None]] = {
    name_of(one): one
    for one in (
        no_answer_is_wrong,
        no_mixture_answers,
        stores_agree,
        no_answer_is_lost,
        no_answer_is_doubled,
        the_run_succeeded,
        every_service_is_healthy,
        no_error_once_healthy,
    )
}
"""By their names."""


def judged(seen: Observation) -> dict[str, str]:
    """The invariants that do not hold, each with what was found."""
    findings = {name: invariant(seen) for name, invariant in INVARIANTS.items()}
    return {name: found for name, found in findings.items() if found is not None}


def _some(what: str, found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{len(found)} {what}: {'; '.join(found[:_SHOWN])}{more}"
