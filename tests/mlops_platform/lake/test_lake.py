"""The lake's one door: objects by key, whole or not there, whoever dies meanwhile."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from mlops_platform.errors import LakeError
from mlops_platform.lake.lake import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def all_files(lake: Lake, tmp_path: Path) -> list[str]:
    """Everything on the disk, the door's own included."""
    return sorted(str(path.relative_to(tmp_path / "lake")) for path in tmp_path.glob("lake/**/*") if path.is_file())


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../up", "a/../../b", "a//b", "a/", "./a", "a\0b", "a/.lock", ".locks/a", "\ud800"]
)
def test_a_key_does_not_lead_out_of_the_lake(lake: Lake, key: str) -> None:
    for ask in (lake.read, lake.keys, lake.delete, lake.uri, lambda key: lake.put(key, b"")):
        with pytest.raises(LakeError, match="is no key of the lake"):
            ask(key)


def test_what_is_written_once_stays(lake: Lake, tmp_path: Path) -> None:
    lake.write_once("a/b.json", b"first")
    with pytest.raises(LakeError, match=r"the lake has a/b\.json already"):
        lake.write_once("a/b.json", b"second")
    assert lake.read("a/b.json") == b"first"
    assert [name for name in all_files(lake, tmp_path) if not name.startswith(".")] == ["a/b.json"]


def test_of_many_who_write_once_one_does(lake: Lake) -> None:
    barrier, written = threading.Barrier(8), []

    def write(number: int) -> None:
        barrier.wait()
        try:
            lake.write_once("pointer", str(number).encode())
        except LakeError:
            return
        written.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(number).encode() for number in written] == [lake.read("pointer")]


def test_a_swap_is_of_what_was_loaded(lake: Lake) -> None:
    assert lake.load("pointer") is None
    first = lake.swap("pointer", b"1", None)
    with pytest.raises(LakeError, match="was replaced by somebody else"):
        lake.swap("pointer", b"2", None)
    assert lake.load("pointer") == first
    second = lake.swap("pointer", b"2", first)
    with pytest.raises(LakeError, match="was replaced by somebody else"):
        lake.swap("pointer", b"3", first)
    assert lake.read("pointer") == second.content == b"2"


def test_of_many_who_count_up_each_is_counted(lake: Lake) -> None:
    lake.put("count", b"0")

    def count(times: int) -> None:
        while times:
            held = lake.load("count")
            assert held is not None
            try:
                lake.swap("count", str(int(held.content) + 1).encode(), held)
            except LakeError:
                continue
            times -= 1

    threads = [threading.Thread(target=count, args=[25]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lake.read("count") == b"100"


def test_keys_and_folders_are_those_of_objects(lake: Lake) -> None:
    for key in ("f/u/snapshot=a/one.parquet", "f/u/snapshot=b/two.parquet", "f/u/current.json"):
        lake.put(key, b"")
    with lake.lease("f/u"):
        assert lake.keys("f") == ["f/u/current.json", "f/u/snapshot=a/one.parquet", "f/u/snapshot=b/two.parquet"]
    assert lake.folders("f/u") == ["snapshot=a", "snapshot=b"]
    assert lake.folders("nowhere") == lake.keys("nowhere") == []
    assert lake.exists("f/u/snapshot=a")
    lake.delete("f/u/snapshot=a")
    assert not lake.exists("f/u/snapshot=a")
    lake.delete("f/u/snapshot=a")
    assert lake.folders("f/u") == ["snapshot=b"]


def test_a_local_copy_is_what_its_manifest_says_or_is_not_there(lake: Lake, tmp_path: Path) -> None:
    lake.put("store", b"rows")
    good = hashlib.sha256(b"rows").hexdigest()
    target = tmp_path / "copies" / "store"
    assert lake.local_copy("store", target, good).read_bytes() == b"rows"
    lake.put("store", b"other rows")
    with pytest.raises(LakeError, match=f"its manifest says {good}"):
        lake.local_copy("store", tmp_path / "copies" / "again", good)
    assert target.read_bytes() == b"rows", "what was copied never changes"
    assert [path.name for path in target.parent.iterdir()] == ["store"]
    with pytest.raises(LakeError, match="the lake has no nothing"):
        lake.local_copy("nothing", tmp_path / "copies" / "nothing", None)


def test_a_folder_is_fetched_anew(lake: Lake, tmp_path: Path) -> None:
    lake.put("f/a/1.parquet", b"1")
    folder = tmp_path / "fetched"
    lake.fetch("f", folder)
    lake.delete("f/a/1.parquet")
    lake.put("f/2.parquet", b"2")
    lake.fetch("f", folder)
    assert [path.name for path in folder.rglob("*")] == ["2.parquet"]


def test_a_file_from_another_file_system_is_copied(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    for name, taken in (("first", True), ("second", False)):
        file = tmp_path / name
        file.write_text(name)
        if taken:
            lake.add("object", file)
        else:
            with pytest.raises(LakeError, match="already"):
                lake.add("object", file)
        assert file.exists() is not taken
    assert lake.read("object") == b"first"


def can_be_taken(lake: Lake, prefix: str) -> bool:
    """Whether somebody else gets the lease, within a second."""
    taken = threading.Event()

    def take() -> None:
        with lake.lease(prefix):
            taken.set()

    threading.Thread(target=take, daemon=True).start()
    return taken.wait(1)


HOLDER = """
import signal, sys
from pathlib import Path
from mlops_platform.lake.lake import Lake
lake = Lake(Path(sys.argv[1]))
with lake.lease("features/u"), lake.scratch() as folder:
    (folder / "half").write_bytes(b"written")
    print("held", flush=True)
    signal.pause()
"""


def test_a_lease_and_a_scratch_folder_end_with_their_holder(lake: Lake, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path / "lake")], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert not can_be_taken(lake, "features/u")
    with lake.scratch():
        assert any(name.endswith("/half") for name in all_files(lake, tmp_path)), "its owner lives"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert can_be_taken(lake, "features/u")
    with lake.scratch():
        assert not any(name.endswith("/half") for name in all_files(lake, tmp_path))
    assert lake.keys("features") == []


def test_a_prefix_is_no_object(lake: Lake, tmp_path: Path) -> None:
    lake.put("f/a", b"1")
    assert lake.read_if_there("f") is None
    for ask in (lake.read, lake.size, lake.open, lambda key: lake.local_copy(key, tmp_path / "copy", None)):
        for key in ("f", "f/a/b"):
            with pytest.raises(LakeError, match=f"the lake has no {key}"):
                ask(key)
    with pytest.raises(LakeError, match="the lake has nothing below g"):
        lake.fetch("g", tmp_path / "fetched")
    assert lake.size("f/a") == 1


def test_a_link_is_not_taken_in_for_what_it_leads_to(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("now")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(LakeError, match="is no regular file"):
        lake.add("object", tmp_path / "link")
    assert not lake.exists("object")


def test_a_lease_outlives_the_objects_that_it_is_of(lake: Lake) -> None:
    lake.put("f/a", b"1")
    with lake.lease("f"):
        lake.delete("f")
        assert not can_be_taken(lake, "f")


CHURN = """
import sys
from pathlib import Path
from mlops_platform.lake.lake import Lake
lake, name = Lake(Path(sys.argv[1])), sys.argv[2]
for turn in range(60):
    lake.write_once(f"f/{name}/{turn}/object", b"1")
    lake.put(f"g/{name}", b"1")
    lake.keys("f"), lake.folders("f"), lake.written_at("f")
    lake.delete(f"f/{name}/{turn}")
    lake.delete(f"g/{name}")
"""


def test_processes_that_come_and_go_do_not_disturb_one_another(lake: Lake, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CHURN, str(tmp_path / "lake")]
    processes = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in "abcd"]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 4
    assert lake.keys("f") == []


def test_what_is_written_is_synced_with_its_name_and_every_new_folder(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removeprefix(f"{tmp_path}/lake/"))
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("this machine does not tell what a descriptor is of")
    monkeypatch.setattr(os, "fsync", fsync)
    lake.put("a/b/object", b"1")
    assert {"a/b", "a", f"{tmp_path}/lake"} <= synced
    assert any(name.startswith("a/b/.object.") for name in synced)
    synced.clear()
    (tmp_path / "lake/spark/part").mkdir(parents=True)
    (tmp_path / "lake/spark/part/1.parquet").write_bytes(b"1")
    lake.make_durable("spark")
    assert synced == {"spark/part/1.parquet", "spark/part", "spark", f"{tmp_path}/lake"}
