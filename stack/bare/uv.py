"""uv, which installs everything else: the machine's, or the locked one, taken out of its wheel."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import urllib.request
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from mlops_platform.console import say
from stack.bare.installation import ROOT, Refused

LOCK = ROOT / "stack" / "bare" / "requirements" / "uv.txt"


class Locked(NamedTuple):
    """The version that the lock names, and the sha256 of each of its wheels, for whatever machine."""

    version: str
    digests: frozenset[str]


def locked() -> Locked:
    """What the lock says of uv."""
    text = LOCK.read_text(encoding="utf-8")
    version = re.findall(r"^uv==(\S+)", text, re.MULTILINE)
    return Locked(version[0], frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", text)))


def found_or_fetched(folder: Path) -> Path:
    """The program: the machine's, or the locked one in ``folder``.

    Raises:
        Refused: the package index cannot be reached, has no uv for this machine, or another than the locked one.
    """
    on_path = shutil.which("uv")
    if on_path and subprocess.run([on_path, "--version"], capture_output=True, check=False).returncode == 0:
        return Path(on_path)
    wanted = locked()
    private = folder / f"uv-{wanted.version}"
    if not private.exists():
        say(f"Fetching uv {wanted.version}")
        fetch(wanted, private)
    return private


class _Links(HTMLParser):
    """The targets of a page's links: the form in which every package index lists its files."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def fetch(wanted: Locked, target: Path) -> None:
    """Takes the uv program out of its wheel, which needs neither pip nor venv on this machine.

    Raises:
        Refused: the package index cannot be reached, has no uv for this machine, or another than the locked one.
    """
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/uv/"
    links = _Links()
    try:
        with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310 - the index that the user configured
            links.feed(answer.read().decode("utf-8"))
        wheel = next((link for link in links.found if _is_for_this_machine(_file_name(link), wanted.version)), None)
        if wheel is None:
            raise Refused(
                f"uv: {index} has no uv {wanted.version} for this machine",
                remedy="install uv (https://docs.astral.sh/uv)",
            )
        with urllib.request.urlopen(urljoin(page, wheel), timeout=300) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, ValueError) as error:
        raise Refused(
            f"uv: could not be fetched from {index} ({error})", remedy="give this machine access to it, or install uv"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest not in wanted.digests:
        raise Refused(
            f"uv: {_file_name(wheel)} of {index} has the sha256 {digest}, which {LOCK.relative_to(ROOT)} does not name",
            remedy="run it again; where it stays so, the index serves another file than the one that was locked",
        )
    with zipfile.ZipFile(BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("scripts/uv"))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f"{target.name}.draft")
        with draft.open("wb") as file:
            file.write(archive.read(member))
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o755)
        draft.replace(target)


def _file_name(link: str) -> str:
    return unquote(urlsplit(link).path).rpartition("/")[2]


def _is_for_this_machine(wheel: str, version: str) -> bool:
    machine = platform.machine().lower()
    if platform.system() == "Darwin":
        system = "macosx"
    else:
        system = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return wheel.startswith(f"uv-{version}-") and system in wheel and wheel.endswith(f"_{machine}.whl")
