"""What is known of an installation before its environment exists: its folders, its variables, whether it runs.

Standard library only, in syntax that Python 3.8 reads.
"""

from __future__ import annotations

import ast
import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform import dotenv

ROOT = Path(__file__).resolve().parent.parent.parent

# Every process of an installation carries this variable with the installation's state folder as its value.
MARK = "MLOPS_STARTED_BY"


class Refused(Exception):
    """Ends the command with a message to the user: what is the matter, and what to do."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}. Remedy: {remedy}")
        self.what = what
        self.remedy = remedy


class UnderWay(Exception):
    """Another start, stop or reset of this installation holds the lock."""


def written(root: Path) -> dict[str, str]:
    """The variables of ``.env``.

    Raises:
        Refused: it has a line that not every program reads in the same way.
    """
    try:
        return dotenv.read(root / ".env")
    except dotenv.EnvFileError as error:
        raise Refused(str(error), remedy="correct it; .env.example shows how lines are written") from None


def variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that count: those of ``.env``, and the environment's MLOPS_*, which override them. None is empty.

    Raises:
        Refused: see :func:`written`.
    """
    return dotenv.overridden(written(root), environ)


def state_dir(root: Path, known: Mapping[str, str]) -> Path:
    """The folder of everything the platform writes."""
    return Path(known.get("MLOPS_STATE_DIR") or root / "var").expanduser().resolve()


def ports(root: Path, known: Mapping[str, str]) -> dict[str, int]:
    """Every port of the platform by the name of its variable, in the order of the settings class.

    The defaults are read out of the settings' source, which cannot be imported before the environment exists.
    """
    source = (root / "mlops_platform" / "settings.py").read_text(encoding="utf-8")
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id.endswith("_port"):
            name = f"MLOPS_{node.target.id.upper()}"
            given = known.get(name, "")
            found[name] = int(given) if given.isdigit() else int(ast.literal_eval(node.value))  # type: ignore[arg-type]
    return found


def socket_path(state: Path) -> Path:
    """The supervisor's socket."""
    return state / "run" / "supervisor.sock"


def is_running(state: Path) -> bool:
    """Whether a supervisor answers. A socket that a killed one left behind refuses."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(socket_path(state)))
        except OSError:
            return False
    return True


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Holds this installation's lock; it ends with the process, however that ends.

    Raises:
        UnderWay: somebody else holds it.
    """
    path = state / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnderWay(f"another start, stop or reset of {state} is under way: wait for it") from None
        yield
    finally:
        os.close(descriptor)
