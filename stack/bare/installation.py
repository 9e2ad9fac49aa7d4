"""What is known of an installation before its environment exists: its folders, its variables, whether it runs.

Standard library only, in syntax that Python 3.8 reads.
"""

from __future__ import annotations

import ast
import fcntl
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping  # noqa: UP035 - Python 3.8

from mlops_platform import dotenv

ROOT = Path(__file__).resolve().parent.parent.parent

# Every process of an installation carries this variable with the installation's state folder as its value.
MARK = "MLOPS_STARTED_BY"
# The open lock that a child process goes on under.
_INHERITED = "MLOPS_LOCK_DESCRIPTOR"


class Refused(Exception):
    """Ends the command with a message to the user: what is the matter, and what to do."""

    def __init__(self, what: str, *, remedy: str) -> None:
        super().__init__(f"{what}. Remedy: {remedy}")
        self.what = what
        self.remedy = remedy


class UnderWay(Exception):
    """Another start, stop or reset of this installation holds the lock."""

    def __init__(self, state: Path) -> None:
        super().__init__(f"another start, stop or reset of {state} is under way: wait for it")


def unusable_file(error: OSError) -> str:
    """What to say of a file that cannot be read or written, as all commands say it."""
    return (
        f"error: {error.filename or 'a file'}: {error.strerror or error}. "
        "Remedy: let it belong to the user who runs this, and see that the disk has room"
    )


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
def lock(state: Path) -> Iterator[int]:
    """Holds this installation's lock, or the one that this process was started under. Gives its descriptor.

    It ends with the last process that has the descriptor, however that ends.

    Raises:
        UnderWay: somebody else holds it.
    """
    path = state / "run" / "lock"
    inherited = os.environ.pop(_INHERITED, None)
    if inherited is not None and _is_open(int(inherited), path):
        yield int(inherited)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnderWay(state) from None
        if not _is_open(descriptor, path):  # a reset has just removed it
            raise UnderWay(state)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_open(descriptor: int, path: Path) -> bool:
    """Whether the descriptor is one of the file that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def run_under(descriptor: int, *command: str) -> int:
    """Runs a command that may take the lock of this descriptor for its own; its exit status."""
    environment = {**os.environ, _INHERITED: str(descriptor)}
    return subprocess.run(command, cwd=str(ROOT), env=environment, pass_fds=(descriptor,), check=False).returncode
