"""The fingerprint of a transform: formulas count, words do not."""

import pytest

from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.fingerprint import syntax_fingerprint, transform_fingerprint

SOURCE = '''
"""A module."""


def compute(raw):
    """Words."""
    return raw.select((raw.a + 1).alias("b"))
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [('"""A module."""\n', ""), ('    """Words."""\n', "    # others\n"), ("raw.a + 1", "raw.a  +  1"), ('"b"', "'b'")],
)
def test_words_and_layout_change_nothing(before: str, after: str) -> None:
    assert before in SOURCE
    assert syntax_fingerprint(SOURCE.replace(before, after)) == syntax_fingerprint(SOURCE)


@pytest.mark.parametrize(
    ("before", "after"), [("raw.a + 1", "raw.a + 2"), ("raw.a + 1", "raw.a + 1.0"), ('"b"', '"c"')]
)
def test_a_formula_changes_it(before: str, after: str) -> None:
    assert syntax_fingerprint(SOURCE.replace(before, after)) != syntax_fingerprint(SOURCE)


def test_a_use_cases_fingerprint_is_that_of_its_features() -> None:
    source = file_of("credit_risk", "features").read_text(encoding="utf-8")
    assert transform_fingerprint("credit_risk") == syntax_fingerprint(source)
