"""uv, which installs everything else: the machine's, or the pinned one, taken out of its wheel."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import urllib.request
import zipfile
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from mlops_platform.console import say
from stack.bare.installation import Refused

UV_VERSION = "0.13.8"


def found_or_fetched(folder: Path) -> Path:
    """The program: the machine's, or the pinned one in ``folder``.

    Raises:
        Refused: the package index cannot be reached, or has no uv for this machine.
    """
    on_path = shutil.which("uv")
    if on_path and subprocess.run([on_path, "--version"], capture_output=True, check=False).returncode == 0:
        return Path(on_path)
    private = folder / "uv"
    if not private.exists():
        say(f"Fetching uv {UV_VERSION}")
        fetch(private)
    return private


class _Links(HTMLParser):
    """The targets of a page's links: the form in which every package index lists its files."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[SplitResult] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [urlsplit(value) for name, value in attrs if tag == "a" and name == "href" and value]


def fetch(target: Path) -> None:
    """Takes the uv program out of its wheel, which needs neither pip nor venv on this machine.

    Raises:
        Refused: the package index cannot be reached, or has no uv for this machine.
    """
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    page = f"{index.rstrip('/')}/uv/"
    links = _Links()
    try:
        with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310 - the index that the user configured
            links.feed(answer.read().decode("utf-8"))
        wheel = next(
            (link for link in links.found if _is_for_this_machine(unquote(link.path).rpartition("/")[2])), None
        )
        if wheel is None:
            raise Refused(
                f"uv: {index} has no uv {UV_VERSION} for this machine",
                remedy="install uv (https://docs.astral.sh/uv)",
            )
        with urllib.request.urlopen(urljoin(page, wheel.geturl()), timeout=300) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, ValueError) as error:
        raise Refused(
            f"uv: could not be fetched from {index} ({error})", remedy="give this machine access to it, or install uv"
        ) from None
    if f"sha256={hashlib.sha256(content).hexdigest()}" != wheel.fragment:
        raise Refused("uv: what arrived is not what the index names", remedy="run it again")
    with zipfile.ZipFile(BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("scripts/uv"))
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(".draft")
        draft.write_bytes(archive.read(member))
        draft.chmod(0o755)
        draft.replace(target)


def _is_for_this_machine(wheel: str) -> bool:
    machine = platform.machine().lower()
    if platform.system() == "Darwin":
        system = "macosx"
    else:
        system = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return wheel.startswith(f"uv-{UV_VERSION}-") and system in wheel and wheel.endswith(f"_{machine}.whl")
