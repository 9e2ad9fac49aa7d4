"""Compiling a transform, in a process of its own: what stands in for PySpark has to be there before PySpark is.

It takes about a second. Nothing of Spark or Java is needed.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_platform.errors import PlatformError
from mlops_platform.settings import PROJECT_ROOT
from mlops_platform.transform.compiled import CompiledTransform, Transform
from mlops_platform.use_case.find import file_of
from mlops_platform.use_case.spec import UseCase

LONGEST_SECONDS = 120.0


class TransformError(PlatformError):
    """A transform cannot be compiled, or its compiled form is not equal to it."""


class Outcome(BaseModel):
    """What the process that compiles answers with: one of the two."""

    model_config = ConfigDict(frozen=True)

    compiled: CompiledTransform | None = None
    what: str = ""
    remedy: str = ""


def compile_transform(use_case: UseCase) -> CompiledTransform:
    """The transform of a use case as it stands in its folder now.

    Raises:
        TransformError: it cannot be read, it fails, or it has something that DuckDB is known to do otherwise; names the
            line.
    """
    return compile_anew(Transform.of(use_case, read_sources(use_case.name)))


def compile_anew(transform: Transform) -> CompiledTransform:
    """A transform out of these sources, by the compiler of now.

    Raises:
        TransformError: as above.
    """
    outcome = _outcome_of(transform.model_dump_json())
    if outcome.compiled is None:
        raise TransformError(outcome.what, remedy=outcome.remedy)
    return outcome.compiled


@cache
def _outcome_of(given: str) -> Outcome:
    """What compiling comes to; the same sources are compiled once by a process.

    Raises:
        TransformError: the process that compiles did not answer.
    """
    transform = Transform.model_validate_json(given)
    command = [sys.executable, "-m", "mlops_platform.transform.compiler"]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            input=given.encode(),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TransformError(
            f"compiling the transform of {transform.use_case} took longer than {LONGEST_SECONDS:.0f} s",
            remedy=f"see what {file_of(transform.use_case, 'features')} does when it is imported",
        ) from None
    try:
        return Outcome.model_validate_json(done.stdout)
    except ValidationError:
        last = next((line for line in reversed(done.stderr.decode(errors="replace").splitlines()) if line.strip()), "")
        raise TransformError(
            f"the process that compiles the transform of {transform.use_case} ended with {done.returncode} ({last})",
            remedy=f"see what {file_of(transform.use_case, 'features')} does when it is imported",
        ) from None


def same_formulas(kept: CompiledTransform, now: CompiledTransform) -> bool:
    """Whether both compute the same. Where different compilers made different texts, both sources are compiled by one.

    Sources that the compiler of now refuses are told from those that it takes.
    """
    if kept.fingerprint == now.fingerprint:
        return True
    if kept.compiler == now.compiler:
        return False
    try:
        return compile_anew(kept.transform).fingerprint == now.fingerprint
    except TransformError:
        return False


def still_holds(kept: CompiledTransform, use_case: UseCase) -> bool:
    """Whether the use case's formulas are still those that were compiled. Nothing is compiled where no word changed.

    Raises:
        TransformError: those of now cannot be compiled.
    """
    now = Transform.of(use_case, read_sources(use_case.name))
    unchanged = kept.transform.sources.items() <= now.sources.items() and (
        kept.transform.raw,
        kept.transform.columns,
    ) == (
        now.raw,
        now.columns,
    )
    return unchanged or same_formulas(kept, compile_anew(now))


def read_sources(use_case: str) -> dict[str, str]:
    """Every Python file of a use case's folder beside its tests, by its path there."""
    folder = file_of(use_case, "features").parent
    if not file_of(use_case, "features").is_file():
        raise TransformError(
            f"{use_case} has no features.py", remedy=f"write {folder / 'features.py'}: compute(raw, run_date)"
        )
    files = (path for path in sorted(folder.rglob("*.py")) if "tests" not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): _text(path) for path in files}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TransformError(f"{path} cannot be read as Python ({error})", remedy="correct it") from None
