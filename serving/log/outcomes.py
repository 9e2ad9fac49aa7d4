"""What a prediction came to, as its record has it: ``label`` and, by the task, ``score`` or ``probabilities``."""

from collections.abc import Mapping
from typing import Any

from mlops_platform.models.outcome import Outcome

_COLUMNS = {"probability": "score", "prediction": "label", "probabilities": "probabilities"}
"""The column of each member of an outcome."""


def logged_outcome(outcome: Outcome) -> dict[str, Any]:
    """The members of a record."""
    return {_COLUMNS[member]: value for member, value in outcome.items()}


def recorded_outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a record; a column that it has nothing in is that of another task."""
    return {member: record[column] for member, column in _COLUMNS.items() if record.get(column) is not None}
