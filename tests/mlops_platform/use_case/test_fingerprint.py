"""The fingerprint of a module: statements count, words do not."""

import pytest

from mlops_platform.use_case.fingerprint import syntax_fingerprint

SOURCE = '''
"""A module."""


def compute(raw):
    """Words."""
    return raw.select((raw.a + 1).alias("b"))
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""A module."""\n', ""),
        ('    """Words."""\n', "    # others\n"),
        ("raw.a + 1", "raw.a  +  1"),
        ('"b"', "'b'"),
        ('"b"', 'u"b"'),
    ],
)
def test_words_and_layout_change_nothing(before: str, after: str) -> None:
    assert before in SOURCE
    assert syntax_fingerprint(SOURCE.replace(before, after)) == syntax_fingerprint(SOURCE)


@pytest.mark.parametrize(
    ("before", "after"), [("raw.a + 1", "raw.a + 2"), ("raw.a + 1", "raw.a + 1.0"), ('"b"', '"c"')]
)
def test_a_formula_changes_it(before: str, after: str) -> None:
    assert syntax_fingerprint(SOURCE.replace(before, after)) != syntax_fingerprint(SOURCE)


def test_the_digest_is_the_same_with_every_python() -> None:
    # a constant of this test: another one would make every model of an installation unfit by an upgrade of Python
    source = 'LIMIT = 3\n"""Words."""\n\n\ndef f(a, *, b=None):\n    return [f"{a:{b}}", {**a, "\U0001fae8": 1.5}]\n'
    digest = "1611d951c8c119193d59f1745fcc33bcc48fc3da9546c9c87ee6d229800aa6bf"
    assert syntax_fingerprint(source) == digest
    assert (
        syntax_fingerprint(source.replace('"""Words."""\n', ""))
        == "1611d951c8c119193d59f1745fcc33bcc48fc3da9546c9c87ee6d229800aa6bf"
    )


def test_what_is_absent_is_not_none() -> None:
    assert syntax_fingerprint("def g(*, a, b=1): pass") != syntax_fingerprint("def g(*, a=None, b=1): pass")
    assert syntax_fingerprint("x = {**a}") != syntax_fingerprint("x = {None: a}")


def test_a_long_chain_of_calls_has_one() -> None:
    assert syntax_fingerprint("x" + ".y(1)" * 300) != syntax_fingerprint("x" + ".y(1)" * 301)
