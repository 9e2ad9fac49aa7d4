"""What a model's score of a row comes to: the members of an answer by task, wherever it is given."""

from collections.abc import Callable
from functools import partial
from typing import Any, NotRequired, TypedDict

from mlops_platform.models.manifest import ModelManifest
from mlops_platform.use_case.task import Task

DECIMALS = 12
"""Probabilities are rounded to so many, numbers to as many digits, because a runtime adds up a batch in another order
than a single row: the same row has to get the same answer in whatever company."""

Score = float | list[float]
"""Of one row: the probability of class 1, the probabilities of the classes in the spec's order, or a number."""


class Outcome(TypedDict):
    """0 or 1 with the ``probability`` of 1, a class with ``probabilities`` by class, or a number."""

    prediction: int | str | float
    probability: NotRequired[float]
    probabilities: NotRequired[dict[str, float]]


MEMBERS: dict[Task, tuple[str, ...]] = {
    "binary": ("prediction", "probability"),
    "multiclass": ("prediction", "probabilities"),
    "regression": ("prediction",),
}
"""The members of an outcome."""


def outcome_of(model: ModelManifest) -> Callable[[Any], Outcome]:
    """From one of the model's scores to its outcome.

    A row is a 1 where its probability is at least the threshold; it is of the class with the greatest probability, of
    several that are equal the first.
    """
    if model.task == "regression":
        return _number
    if model.threshold is None:
        return partial(_classified, model.classes)
    return partial(_binary, model.threshold)


def _binary(threshold: float, score: float) -> Outcome:
    probability = round(score, DECIMALS)
    return {"prediction": int(probability >= threshold), "probability": probability}


def _classified(classes: tuple[str, ...], score: list[float]) -> Outcome:
    probabilities = [round(probability, DECIMALS) for probability in score]
    first_of_the_greatest = probabilities.index(max(probabilities))
    return {
        "prediction": classes[first_of_the_greatest],
        "probabilities": dict(zip(classes, probabilities, strict=True)),
    }


def _number(score: float) -> Outcome:
    return {"prediction": float(f"{score:.{DECIMALS}g}")}
