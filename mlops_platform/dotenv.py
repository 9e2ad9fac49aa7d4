"""``.env``: read in one way by everybody, before the environment exists and afterwards.

The grammar is Compose's, without what programs read differently: ``NAME=value`` (``export`` may stand before it), a
value bare or in quotes, comments after ``#``. What would be replaced or escaped (``$``, a backslash in double quotes)
is refused. Standard library only, in syntax that Python 3.8 reads.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Mapping  # noqa: UP035 - Python 3.8

PREFIX = "MLOPS_"

_LINE = re.compile(
    r"""(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:'(?P<literal>[^']*)'\s*(?:\#.*)?|"(?P<quoted>[^"\\$]*)"\s*(?:\#.*)?|(?P<bare>(?:[^'"$\s][^$]*)?))$""",
    re.VERBOSE,
)
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")


class EnvFileError(ValueError):
    """A line that is not understood, or not by everybody in the same way."""


def read(env_file: Path) -> dict[str, str]:
    """The variables of the file, none where there is no file. Of several lines for one name the last counts.

    Raises:
        EnvFileError: names the line, and says how to write it.
        OSError: the file is there and cannot be read.
    """
    try:
        text = env_file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise EnvFileError(f"{env_file} is no UTF-8 text ({error.reason} at byte {error.start})") from None
    found = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, value = _parsed(env_file, number, line.strip())
            found[name] = value
    return found


def _parsed(env_file: Path, number: int, line: str) -> tuple[str, str]:
    match = _LINE.match(line)
    if match is None:  # without the line itself: it may be a secret
        raise EnvFileError(
            f"{env_file}, line {number} is not of the form NAME=value, with a value that has $, a quote or a backslash "
            "in single quotes"
        )
    if match["bare"] is not None:
        return match["name"], match["bare"].split(" #", 1)[0].rstrip()
    return match["name"], match["quoted"] if match["literal"] is None else match["literal"]


def name_of(line: str) -> str | None:
    """The name of the variable that the line is about; None for a comment, an empty line, or one not understood."""
    match = _LINE.match(line.strip())
    return match["name"] if match else None


def line_of(name: str, value: str) -> str:
    """The line that is read as this, without its end.

    Raises:
        EnvFileError: no line is: the value has a line break, or a single quote together with what only they can hold.
    """
    ways = [value] if _PLAIN.fullmatch(value) else [f"'{value}'", f'"{value}"']
    for line in (f"{name}={written}" for written in ways):
        if _LINE.match(line) and len(line.splitlines()) == 1:
            return line
    raise EnvFileError(f"{name} cannot be written to .env: its value has a line break, or both ' and one of $ \" \\")


def overridden(written: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of the file with the environment's MLOPS_* in their place. An empty one counts as not set."""
    given = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
    return {name: value for name, value in {**written, **given}.items() if value}
