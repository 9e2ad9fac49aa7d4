"""A container's health check, with small programs in the place of what it runs, outside of a container."""

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def check(tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script as it is, but for where it remembers, how long it rests, and whom it kills."""
    script = tmp_path / "checkout" / "mlops_platform" / "services" / "usable.sh"
    script.parent.mkdir(parents=True)
    text = (project_root / "mlops_platform" / "services" / "usable.sh").read_text(encoding="utf-8")
    for real, here in (
        ("/dev/shm", str(tmp_path)),
        ("sleep 2", ":"),
        ("kill -KILL -1", "echo killed; exit 9"),
    ):
        assert text.count(real) >= 1
        text = text.replace(real, here)
    script.write_text(text, encoding="utf-8")
    script.chmod(0o755)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho "asked $4"\nexit "$(cat {tmp_path}/status)"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "status").write_text("0", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{python.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path))
    return script


def run(check: Path, service: str = "serving") -> tuple[int, str]:
    done = subprocess.run([check, service], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


def tell(tmp_path: Path, content: str) -> None:
    request = tmp_path / "watch" / "restart" / "serving"
    request.parent.mkdir(parents=True, exist_ok=True)
    request.write_text(content, encoding="utf-8")


def test_it_waits_the_services_deadline_first_and_ten_seconds_once_it_was_usable(check: Path, tmp_path: Path) -> None:
    assert run(check) == (0, "asked \n")
    assert run(check) == (0, "asked 10\n")
    (tmp_path / "status").write_text("1", encoding="utf-8")
    assert run(check) == (1, "asked 10\n")
    assert run(check) == (1, "asked \n"), "it may be starting again"


def test_a_service_that_is_told_to_end_is_killed(check: Path, tmp_path: Path) -> None:
    run(check)
    tell(tmp_path, "1\n")
    assert run(check) == (9, "killed\n")


def test_what_was_told_before_its_start_is_done(check: Path, tmp_path: Path) -> None:
    tell(tmp_path, "1\n")
    assert run(check) == (0, "asked \n")
    assert run(check) == (0, "asked 10\n")
    tell(tmp_path, "2\n")
    assert run(check) == (9, "killed\n")


def test_the_watcher_alone_is_ended_when_it_is_not_usable(check: Path, tmp_path: Path) -> None:
    run(check, "watcher")
    (tmp_path / "status").write_text("1", encoding="utf-8")
    assert run(check, "watcher") == (9, "asked 10\nkilled\n")
