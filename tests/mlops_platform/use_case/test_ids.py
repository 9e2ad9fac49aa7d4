"""What is an id and what is none, by the type of the key column."""

import pytest

from mlops_platform.use_case.ids import LONGEST_ID_BYTES, parse_id
from mlops_platform.use_case.spec import UseCase


def with_key_type(credit_risk: UseCase, kind: str) -> UseCase:
    raw = tuple(
        column.model_copy(update={"type": kind}) if column.name == credit_risk.entity_key else column
        for column in credit_risk.raw
    )
    return credit_risk.model_copy(update={"raw": raw})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-7", -7),
        ("5008804", 5008804),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        *((text, None) for text in ("", "007", "+7", "-0", "7.0", " 7", "7\n", "\u0667", "1e3", str(2**63), "9" * 30)),
    ],
)
def test_a_whole_number_has_one_text(credit_risk: UseCase, text: str, number: int | None) -> None:
    assert parse_id(credit_risk, text) == number


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("a/b", True),
        (" ", True),
        ("007", True),
        ("Zoë 李/%2F?#", True),
        ("x" * LONGEST_ID_BYTES, True),
        ("é" * (LONGEST_ID_BYTES // 2), True),
        ("", False),
        ("x" * (LONGEST_ID_BYTES + 1), False),
        ("é" * (LONGEST_ID_BYTES // 2 + 1), False),
        *((f"a{character}", False) for character in "\x00\n\x1f\x7f\x80\x9f"),
    ],
)
def test_a_text_is_an_id_up_to_a_length_and_without_control_characters(
    credit_risk: UseCase, text: str, is_id: bool
) -> None:
    assert parse_id(with_key_type(credit_risk, "string"), text) == (text if is_id else None)
