import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mlops_platform.files import link_or_copy, locked, write_json, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "pointer.json"
    write_json(path, {"snapshot": "a"})
    write_json(path, {"snapshot": "b"})
    assert path.read_text() == '{\n  "snapshot": "b"\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["pointer.json"]


def test_a_write_that_fails_leaves_the_old_content_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pointer"
    write_text(path, "old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["pointer"]


def test_a_file_gets_another_name_or_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, linked, copied = (tmp_path / name for name in ("file", "linked", "copied"))
    file.write_text("content")
    link_or_copy(file, linked)
    assert linked.samefile(file)
    with pytest.raises(FileExistsError):
        link_or_copy(file, linked)

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    link_or_copy(file, copied)
    assert (copied.read_text(), copied.samefile(file)) == ("content", False)


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent("""
            import sys, signal
            from pathlib import Path
            from mlops_platform.files import locked
            with locked(Path(sys.argv[1])):
                print("held", flush=True)
                signal.pause()
        """), str(lock)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(lock):
        pass
