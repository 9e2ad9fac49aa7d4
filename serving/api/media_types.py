"""What a caller sends and wants to have: ``Content-Type`` and ``Accept`` (RFC 9110, 8.3 and 12.5.1)."""

from collections.abc import Sequence
from typing import NamedTuple


class MediaType(NamedTuple):
    """A type, or a range of types, in lower case; the parameters' values are as they were given."""

    name: str
    parameters: dict[str, str]


def media_type(value: str) -> MediaType:
    name, *parameters = value.split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return MediaType(name.strip().lower(), {key.strip().lower(): text.strip().strip('"') for key, _, text in pairs})


def preferred(accept: str | None, offered: Sequence[str]) -> str | None:
    """The type that a caller likes best, of several equal ones the first that is offered; None where it takes none."""
    if accept is None or not accept.strip():
        return offered[0]
    ranges = {name: _quality(parameters) for name, parameters in map(media_type, accept.split(","))}
    qualities = [_quality_of(one, ranges) for one in offered]
    best = max(qualities)
    return offered[qualities.index(best)] if best > 0 else None


def _quality_of(offered: str, ranges: dict[str, float]) -> float:
    """By the most specific range that the type is in."""
    matching = (offered, f"{offered.partition('/')[0]}/*", "*/*")
    return next((ranges[name] for name in matching if name in ranges), 0.0)


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
