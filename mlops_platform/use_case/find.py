"""Which use cases there are: the folders of ``use_cases/``, and of every folder that ``MLOPS_USE_CASES`` names.

A use case is a folder with a ``spec.py`` in it. Its parts are imported by name, each only where it is needed:
``use_cases.<name>.spec``, ``.features``, ``.model``, ``.synthetic``.
"""

import difflib
import importlib
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from mlops_platform.errors import BrokenUseCase, PlatformError, UnknownUseCase
from mlops_platform.settings import PROJECT_ROOT, load_settings
from mlops_platform.use_case.spec import IDENTIFIER, UseCase

PACKAGE = "use_cases"
SPEC_FILE = "spec.py"


@dataclass(frozen=True)
class UseCases:
    """The use cases that can be used, by name, and why each of the others cannot."""

    usable: tuple[UseCase, ...]
    broken: tuple[BrokenUseCase, ...]


@cache
def find_use_cases() -> UseCases:
    """Every use case of this installation. One that is broken takes down nothing but itself."""
    usable: list[UseCase] = []
    broken = [
        BrokenUseCase(folder.name, f"MLOPS_USE_CASES names {folder}, which is no folder", remedy="correct it in .env")
        for folder in use_case_folders()
        if not folder.is_dir()
    ]
    for name, folders in sorted(_folders_by_name().items()):
        try:
            usable.append(_read(name, folders))
        except BrokenUseCase as error:
            broken.append(error)
    clashing = _claiming_a_path_of_another(usable)
    broken += clashing.values()
    return UseCases(tuple(one for one in usable if one.name not in clashing), tuple(broken))


def all_use_cases() -> tuple[UseCase, ...]:
    """The usable ones, by name."""
    return find_use_cases().usable


def get_use_case(name: str) -> UseCase:
    """The use case of this name.

    Raises:
        BrokenUseCase: its spec cannot be used; says why.
        UnknownUseCase: there is none; names the closest one.
    """
    found = find_use_cases()
    known = {use_case.name: use_case for use_case in found.usable}
    if name in known:
        return known[name]
    for error in found.broken:
        if error.name == name:
            # a new one each time: raised again and again, an error gathers tracebacks
            raise BrokenUseCase(name, error.what, remedy=error.remedy)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise UnknownUseCase(f"there is no use case {name!r}", remedy=f"{hint}the use cases are {', '.join(known)}")


def file_of(use_case: str, part: str) -> Path:
    """Where a part of a use case (``features``, ``model``, …) is, or would be, as a file of this machine."""
    folders = _folders_by_name().get(use_case, [PROJECT_ROOT / PACKAGE / use_case])
    return folders[0] / f"{part}.py"


def import_part(use_case: str, part: str, *, purpose: str) -> ModuleType:
    """The module of one part of a use case.

    Args:
        purpose: what the part says, for the remedy where it is missing.

    Raises:
        PlatformError: the use case has no such file.
    """
    if not file_of(use_case, part).is_file():
        raise PlatformError(f"{use_case} has no {part}.py", remedy=f"write {file_of(use_case, part)}: {purpose}")
    _let_python_find()
    return importlib.import_module(f"{PACKAGE}.{use_case}.{part}")


def use_case_folders() -> tuple[Path, ...]:
    """The folders whose folders are use cases: this project's, then those that the settings name."""
    return tuple(dict.fromkeys((PROJECT_ROOT / PACKAGE, *load_settings().use_case_folders)))


def _folders_by_name() -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for parent in use_case_folders():
        for spec in parent.glob(f"*/{SPEC_FILE}"):
            found.setdefault(spec.parent.name, []).append(spec.parent)
    return found


def _read(name: str, folders: list[Path]) -> UseCase:
    file = folders[0] / SPEC_FILE
    if len(folders) > 1:
        raise BrokenUseCase(
            name, f"two folders are called {name}: {', '.join(map(str, folders))}", remedy="give one another name"
        )
    if IDENTIFIER.fullmatch(name) is None:
        raise BrokenUseCase(
            name,
            f"{folders[0]}: a use case's folder cannot be called {name}",
            remedy="begin with a small letter and use small letters, digits and _ only",
        )
    _let_python_find()
    try:
        use_case = importlib.import_module(f"{PACKAGE}.{name}.spec").USE_CASE
    except (Exception, SystemExit) as error:  # whatever a spec does when it is imported is its own failure
        raise BrokenUseCase(name, f"{file}{_line_in(error, file)}: {_reason(error)}", remedy="correct it") from error
    if not isinstance(use_case, UseCase):
        raise BrokenUseCase(name, f"{file}: USE_CASE is no UseCase", remedy="declare USE_CASE = UseCase(...)")
    if use_case.name != name:
        raise BrokenUseCase(
            name, f"{file}: the use case is named {use_case.name!r}", remedy=f"give it its folder's name, {name!r}"
        )
    return use_case


def _claiming_a_path_of_another(found: list[UseCase]) -> dict[str, BrokenUseCase]:
    """By name, the use cases of which a short path is another's: that of an earlier folder or, in it, name."""
    parents = use_case_folders()
    owners: dict[str, str] = {}
    refused: dict[str, BrokenUseCase] = {}
    for use_case in sorted(found, key=lambda one: parents.index(file_of(one.name, "spec").parents[1])):
        paths = [short.path for short in use_case.short_paths]
        taken = next((path for path in paths if path in owners), None)
        if taken is None:
            owners |= dict.fromkeys(paths, use_case.name)
        else:
            refused[use_case.name] = BrokenUseCase(
                use_case.name,
                f"{file_of(use_case.name, 'spec')}: {use_case.name} claims the short path {taken}, and so does "
                f"{owners[taken]}",
                remedy=f"give one of them another: {owners[taken]} keeps it",
            )
    return refused


def _let_python_find() -> None:
    """Have ``import use_cases.<name>`` look into every folder that is named."""
    path = importlib.import_module(PACKAGE).__path__
    for folder in use_case_folders():
        if str(folder) not in path:
            path.append(str(folder))
            importlib.invalidate_caches()


def _line_in(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}" if error.filename == str(file) else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
