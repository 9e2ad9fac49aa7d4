"""uv out of its wheel, from an index of its own that lists files as every index does."""

import functools
import hashlib
import io
import platform
import re
import threading
import zipfile
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from stack.bare import uv
from stack.bare.installation import Refused

PROGRAM = b"#!/bin/sh\necho uv\n"
VERSION = "1.2.3"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that a local package index serves; its page of uv is written by the test."""
    folder = tmp_path / "index"
    (folder / "uv").mkdir(parents=True)
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()


@pytest.fixture
def wheel() -> tuple[str, bytes]:
    """The name and content of a wheel for this machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"uv-{VERSION}.data/scripts/uv", PROGRAM)
    system = "macosx_11_0" if platform.system() == "Darwin" else f"{libc()}_2_17"
    return f"uv-{VERSION}-py3-none-{system}_{platform.machine()}.whl", buffer.getvalue()


def libc() -> str:
    return "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"


def publish(index: Path, name: str, content: bytes) -> str:
    """Offer a file as the index's own page says it is; its sha256."""
    digest = hashlib.sha256(content).hexdigest()
    (index / name).write_bytes(content)
    older = '<a href="../uv-0.0.1-py3-none-any.whl#sha256=00">uv-0.0.1-py3-none-any.whl</a>'
    page = f'<!DOCTYPE html><html><body>{older}<a href="../{name}#sha256={digest}">{name}</a></body></html>'
    (index / "uv" / "index.html").write_text(page)
    return digest


def test_the_program_is_taken_out_of_the_wheel(index: Path, wheel: tuple[str, bytes], tmp_path: Path) -> None:
    digest = publish(index, *wheel)
    target = tmp_path / "bin" / "uv"
    uv.fetch(uv.Locked(VERSION, frozenset({"0" * 64, digest})), target)
    assert target.read_bytes() == PROGRAM
    assert target.stat().st_mode & 0o111


def test_a_wheel_that_is_not_the_locked_one_is_refused_whatever_the_index_says(
    index: Path, wheel: tuple[str, bytes], tmp_path: Path
) -> None:
    digest = publish(index, *wheel)
    with pytest.raises(Refused) as refused:
        uv.fetch(uv.Locked(VERSION, frozenset({"0" * 64})), tmp_path / "bin" / "uv")
    assert re.sub(r"http://127\.0\.0\.1:\d+", "INDEX", str(refused.value)) == (
        f"uv: {wheel[0]} of INDEX has the sha256 {digest}, which stack/bare/requirements/uv.txt does not name. "
        "Remedy: run it again; where it stays so, the index serves another file than the one that was locked"
    )
    assert not (tmp_path / "bin").exists()


def test_an_index_without_a_wheel_for_this_machine_says_so(index: Path, tmp_path: Path) -> None:
    publish(index, f"uv-{VERSION}-py3-none-win_arm64.whl", b"")
    with pytest.raises(Refused, match=f"has no uv {VERSION} for this machine"):
        uv.fetch(uv.Locked(VERSION, frozenset()), tmp_path / "uv")


def test_another_version_in_the_lock_is_fetched_beside_the_one_that_is_there(
    index: Path, wheel: tuple[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = publish(index, *wheel)
    (tmp_path / "uv.txt").write_text(f"# header\nuv=={VERSION} \\\n    --hash=sha256:{digest}\n")
    monkeypatch.setattr(uv, "LOCK", tmp_path / "uv.txt")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "uv-0.0.1").touch()
    assert uv.found_or_fetched(tmp_path / "private").read_bytes() == PROGRAM


def test_the_lock_names_a_wheel_for_every_machine() -> None:
    wanted = uv.locked()
    assert re.fullmatch(r"\d+\.\d+\.\d+", wanted.version)
    # Linux with either libc and macOS, on x86-64 and arm64
    assert len(wanted.digests) >= 6
