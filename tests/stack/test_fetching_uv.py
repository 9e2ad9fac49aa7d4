"""uv out of its wheel, from an index of its own that lists files as every index does."""

import functools
import hashlib
import io
import platform
import threading
import zipfile
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from stack.bare import uv
from stack.bare.installation import Refused

PROGRAM = b"#!/bin/sh\necho uv\n"


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
        archive.writestr(f"uv-{uv.UV_VERSION}.data/scripts/uv", PROGRAM)
    system = "macosx_11_0" if platform.system() == "Darwin" else f"{libc()}_2_17"
    return f"uv-{uv.UV_VERSION}-py3-none-{system}_{platform.machine()}.whl", buffer.getvalue()


def libc() -> str:
    return "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"


def publish(index: Path, name: str, content: bytes, digest: str) -> None:
    (index / name).write_bytes(content)
    older = '<a href="../uv-0.0.1-py3-none-any.whl#sha256=00">uv-0.0.1-py3-none-any.whl</a>'
    page = f'<!DOCTYPE html><html><body>{older}<a href="../{name}#sha256={digest}">{name}</a></body></html>'
    (index / "uv" / "index.html").write_text(page)


def test_the_program_is_taken_out_of_the_wheel(index: Path, wheel: tuple[str, bytes], tmp_path: Path) -> None:
    name, content = wheel
    publish(index, name, content, hashlib.sha256(content).hexdigest())
    target = tmp_path / "bin" / "uv"
    uv.fetch(target)
    assert target.read_bytes() == PROGRAM
    assert target.stat().st_mode & 0o111


def test_a_wheel_with_other_bytes_is_refused(index: Path, wheel: tuple[str, bytes], tmp_path: Path) -> None:
    name, content = wheel
    publish(index, name, content, "0" * 64)
    with pytest.raises(Refused, match="what arrived is not what the index names"):
        uv.fetch(tmp_path / "bin" / "uv")
    assert not (tmp_path / "bin").exists()


def test_an_index_without_a_wheel_for_this_machine_says_so(index: Path, tmp_path: Path) -> None:
    publish(index, f"uv-{uv.UV_VERSION}-py3-none-win_arm64.whl", b"", "00")
    with pytest.raises(Refused, match=f"has no uv {uv.UV_VERSION} for this machine"):
        uv.fetch(tmp_path / "uv")
