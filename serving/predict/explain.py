"""Why an id got its answer: each feature's share of the difference to the average, as Shapley values.

What is explained is the probability of a 1, the probability of the class that was predicted, or the predicted number.
The value of a set of features is its mean over rows that have these features from the explained row and the others from
the background, a sample of the snapshot's rows. The shares add up to the row's own value minus the background's mean.
Up to eight features they are exact; beyond, an average over seeded orders of the features, which adds up just as well.
"""

import itertools
import math
import random
from collections.abc import Sequence
from typing import Any

import orjson

from mlops_platform.models.outcome import DECIMALS, Outcome
from mlops_platform.models.scorer import Row
from mlops_platform.online_store.protocol import FeatureValue
from mlops_platform.use_case.spec import UseCase
from serving.model import ServedModel
from serving.predict.predictor import Asked, Prediction
from serving.served import Served

MOST_EXACT = 8
ORDERS = 32
MOST_REASONS = 4


def explain(
    use_case: UseCase, model: ServedModel, row: Row, background: Sequence[Row], outcome: Outcome
) -> tuple[float, dict[str, float]]:
    """The background's mean of what is explained, and each feature's share; together they are the row's own."""
    names = use_case.feature_names
    coalitions = _coalitions(names)
    mixed = [
        {name: row[name] if name in chosen else other[name] for name in names}
        for chosen in coalitions
        for other in background
    ]
    values = _explained(use_case, outcome, model.scorer.score_rows(mixed))
    size = len(background)
    value = {chosen: sum(values[at * size : (at + 1) * size]) / size for at, chosen in enumerate(coalitions)}
    shares = _exact(names, value) if len(names) <= MOST_EXACT else _averaged(names, value)
    return value[frozenset()], shares


def _explained(use_case: UseCase, outcome: Outcome, scores: Sequence[Any]) -> Sequence[float]:
    if use_case.task != "multiclass":
        return scores
    position = use_case.label.classes.index(str(outcome["prediction"]))
    return [score[position] for score in scores]


Coalition = frozenset[str]


def _coalitions(names: Sequence[str]) -> list[Coalition]:
    """The sets of features whose value is needed."""
    if len(names) <= MOST_EXACT:
        sizes = range(len(names) + 1)
        return [frozenset(chosen) for size in sizes for chosen in itertools.combinations(names, size)]
    return list(dict.fromkeys(frozenset(order[:size]) for order in _orders(names) for size in range(len(names) + 1)))


def _orders(names: Sequence[str]) -> list[list[str]]:
    """Seeded orders of the features, each with its reverse."""
    draw = random.Random(0)  # noqa: S311 - the same orders each time
    found: list[list[str]] = []
    for _ in range(ORDERS // 2):
        order = draw.sample(list(names), len(names))
        found += [order, order[::-1]]
    return found


def _exact(names: Sequence[str], value: dict[Coalition, float]) -> dict[str, float]:
    count = len(names)
    weights = [math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count) for size in range(count)]
    return {
        name: math.fsum(
            weights[len(chosen)] * (value[chosen | {name}] - worth)
            for chosen, worth in value.items()
            if name not in chosen
        )
        for name in names
    }


def _averaged(names: Sequence[str], value: dict[Coalition, float]) -> dict[str, float]:
    orders = _orders(names)
    steps = [
        (order[at], value[frozenset(order[: at + 1])] - value[frozenset(order[:at])])
        for order in orders
        for at in range(len(order))
    ]
    return {name: math.fsum(step for named, step in steps if named == name) / len(orders) for name in names}


def answer(served: Served, asked: Asked, found: Prediction, request_id: str) -> bytes:
    """The JSON answer: contributions in the spec's order, reasons by weight."""
    use_case = served.use_case
    base, shares = explain(use_case, found.model, asked.features, served.background, found.outcome)
    base_member = "base_prediction" if use_case.task == "regression" else "base_probability"
    return orjson.dumps(
        {
            "id": asked.id,
            **found.outcome,
            base_member: round(base, DECIMALS),
            "contributions": [
                {"feature": name, "value": asked.features[name], "contribution": round(shares[name], DECIMALS)}
                for name in use_case.feature_names
            ],
            "reasons": _reasons(use_case, asked.features, shares, found.outcome),
            "feature_date": asked.feature_date,
            "variant": found.variant,
            "model_version": found.model.version,
            "snapshot": served.snapshot_id,
            "request_id": request_id,
        }
    )


def _reasons(use_case: UseCase, row: Row, shares: dict[str, float], outcome: Outcome) -> list[dict[str, Any]]:
    """What speaks most for a 1 or for the predicted class, or moves a number most, in words."""
    meanings = {feature.name: feature.meaning for feature in use_case.features}
    numbers = use_case.task == "regression"
    speaking = [name for name in shares if shares[name] > 0 or (numbers and shares[name] < 0)]
    what = "the prediction" if numbers else f"the probability of '{_called(use_case, outcome)}'"
    return [
        {
            "code": f"{use_case.name}.{name}".upper(),
            "text": (
                f"{meanings[name]} (here {_words(row[name])}): {'raises' if shares[name] > 0 else 'lowers'} {what} "
                f"by {abs(shares[name]):.4f}"
            ),
        }
        for name in sorted(speaking, key=lambda name: -abs(shares[name]))[:MOST_REASONS]
    ]


def _called(use_case: UseCase, outcome: Outcome) -> str | None:
    """What the explained probability is of, in words."""
    return use_case.label.positive if use_case.task == "binary" else str(outcome["prediction"])


def _words(value: FeatureValue) -> str:
    return "unknown" if value is None else str(value)
