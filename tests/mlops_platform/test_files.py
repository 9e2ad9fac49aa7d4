import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mlops_platform.files import Watched, link_or_copy, locked, write_json, write_text


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


def test_a_watched_file_tells_each_new_content_once(tmp_path: Path) -> None:
    path = tmp_path / "routing.json"
    watched = Watched(path)
    assert watched.changed() is None  # it is not there
    write_text(path, "a")
    assert [watched.changed(), watched.changed()] == [b"a", None]
    write_text(path, "a")
    assert watched.changed() is None  # another file of the same content
    path.unlink()
    assert [watched.changed(), watched.changed()] == [b"", None]
    write_text(path, "a")
    assert watched.changed() == b"a"


def test_two_writes_within_one_step_of_the_clock_are_both_seen(tmp_path: Path) -> None:
    path = tmp_path / "routing.json"
    watched = Watched(path)
    path.write_bytes(b"0.1")
    before = path.stat()
    assert watched.changed() == b"0.1"
    path.write_bytes(b"0.2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    now = path.stat()
    assert (now.st_mtime_ns, now.st_ino, now.st_size) == (before.st_mtime_ns, before.st_ino, before.st_size)
    assert watched.changed() == b"0.2"


def test_a_file_that_has_not_changed_for_long_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "routing.json"
    path.write_bytes(b"0.1")
    os.utime(path, (1_600_000_000, 1_600_000_000))
    watched = Watched(path)
    assert watched.changed() == b"0.1"
    monkeypatch.setattr(hashlib, "sha256", None)  # so that a further reading would fail
    assert watched.changed() is None


def test_a_watched_file_that_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "routing.json"
    path.mkdir()
    watched = Watched(path)
    with pytest.raises(IsADirectoryError):
        watched.changed()
    path.rmdir()
    write_text(path, "a")
    assert watched.changed() == b"a"


def test_a_folder_that_a_lock_makes_survives_a_power_cut_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("mlops_platform.files.sync_folder", synced.append)
    folder = tmp_path / "serving" / "last_good"
    with locked(folder / "toy.lock"):
        write_json(folder / "toy.json", {})
    assert set(synced) == {tmp_path, tmp_path / "serving", folder}
