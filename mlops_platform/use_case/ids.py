"""What the id of an entity looks like as text: in a path, in a body, in a tensor, as a key of the online store.

Where the key column holds whole numbers, an id is the number's canonical decimal text: ``7``, never ``007`` or ``+7``.
Elsewhere it is the column's text as it arrived, of up to 511 bytes in UTF-8 and without control characters; a slash, a
space or a letter of any script is a character like another, percent-encoded in a path.
"""

import re

from mlops_platform.use_case.spec import UseCase

LONGEST_ID_BYTES = 511
"""What the embedded store takes as a key. OpenAPI counts characters, so an id of as many may have more bytes: no store
holds it, and whoever asks for it is told that it is unknown."""

CONTROL_CHARACTERS = r"[\x00-\x1f\x7f-\x9f]"
"""A regular expression, for Java, Rust, Python and ECMAScript alike: no id has one of these."""

_TEXT = rf"^[^{CONTROL_CHARACTERS[1:-1]}]+$"
_WHOLE_NUMBER = r"^(0|-?[1-9][0-9]{0,18})$"


def ids_are_whole_numbers(use_case: UseCase) -> bool:
    return use_case.raw_column(use_case.entity_key).type in {"int", "long"}


def id_pattern(use_case: UseCase) -> str:
    """The regular expression of an id, as OpenAPI and pydantic take it; beside it goes the bound of its length."""
    return _WHOLE_NUMBER if ids_are_whole_numbers(use_case) else _TEXT


def parse_id(use_case: UseCase, text: str) -> int | str | None:
    """The value of the key column that an id stands for, None where the text is no id of this use case."""
    if re.fullmatch(id_pattern(use_case), text) is None or len(text.encode()) > LONGEST_ID_BYTES:
        return None
    if not ids_are_whole_numbers(use_case):
        return text
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None
