"""What a transform computes, as a digest: a changed formula changes it, a changed comment or docstring does not."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

from mlops_platform.use_case.find import file_of


def transform_fingerprint(use_case: str) -> str:
    """Sha256 (64 hex digits) of the syntax tree of the use case's ``features.py``. Nothing of it is run.

    Raises:
        OSError: there is no such file.
        SyntaxError: it is no Python.
    """
    path = file_of(use_case, "features")
    return _fingerprint(path, path.stat().st_mtime_ns)


@cache
def _fingerprint(path: Path, _changed: int) -> str:
    return syntax_fingerprint(path.read_text(encoding="utf-8"))


def syntax_fingerprint(source: str) -> str:
    """Sha256 of a module's syntax tree, without its docstrings and where things stand in the file.

    >>> syntax_fingerprint("x = 1  # one") == syntax_fingerprint('"Words."\\nx = 1')
    True
    """
    return hashlib.sha256(json.dumps(_plain(ast.parse(source))).encode()).hexdigest()


def _plain(value: object) -> object:
    """A tree as lists and text. What is empty is left out: each version of Python has further fields that are."""
    if isinstance(value, ast.AST):
        fields = {name: _plain(content) for name, content in ast.iter_fields(value)}
        if _has_docstring(value):
            fields["body"] = [_plain(node) for node in value.body[1:]]  # type: ignore[attr-defined]
        return [
            type(value).__name__,
            *([name, content] for name, content in fields.items() if content not in (None, [])),
        ]
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if value is None else repr(value)


def _has_docstring(node: ast.AST) -> bool:
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None
