"""The registry: every folder of ``use_cases`` declares one use case, ``USE_CASE`` in its ``spec.py``."""

import difflib
import importlib
import pkgutil
from functools import cache

from mlops_platform.errors import UnknownUseCase
from mlops_platform.use_case.spec import UseCase


@cache
def all_use_cases() -> tuple[UseCase, ...]:
    """Every declared use case, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(importlib.import_module("use_cases").__path__))
    return tuple(importlib.import_module(f"use_cases.{name}.spec").USE_CASE for name in names)


def get_use_case(name: str) -> UseCase:
    """The use case of this name.

    Raises:
        UnknownUseCase: none is declared; names the closest one.
    """
    known = {use_case.name: use_case for use_case in all_use_cases()}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownUseCase(f"there is no use case {name!r}", remedy=f"{hint}the use cases are {', '.join(known)}")
