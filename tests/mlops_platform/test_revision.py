"""The commit of a checkout: by git, and by hand where git is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mlops_platform.revision import revision
from mlops_platform.settings import PlatformSettings


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("there is no git on this machine")
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet")
    (root / ".gitignore").write_text("/var/\n", encoding="utf-8")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root


@pytest.fixture
def without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_commit_and_whether_files_differ_from_it(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "var").mkdir()
    (checkout / "var" / "state").touch()
    assert revision(checkout) == commit
    (checkout / "new.py").touch()
    assert revision(checkout) == f"{commit}-dirty"


def test_what_is_no_checkout_has_none_also_inside_of_one(checkout: Path, tmp_path: Path) -> None:
    inside = checkout / "folder"
    inside.mkdir()
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "--quiet")
    assert [revision(folder) for folder in (tmp_path, inside, tmp_path / "empty")] == ["unknown"] * 3


@pytest.mark.parametrize("packed", [False, True])
def test_a_branch_is_read_by_hand(checkout: Path, packed: bool, request: pytest.FixtureRequest) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    if packed:
        git(checkout, "pack-refs", "--all")
    request.getfixturevalue("without_git")
    assert revision(checkout) == commit


def test_a_worktree_and_a_detached_head_are_read_by_hand(
    checkout: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "branch"))
    git(checkout, "worktree", "add", "--quiet", "--detach", str(tmp_path / "detached"))
    request.getfixturevalue("without_git")
    assert [revision(tmp_path / name) for name in ("branch", "detached")] == [commit, commit]


def test_settings_ask_the_checkout_unless_they_were_told(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert PlatformSettings(project_root=checkout).git_sha == commit
    assert PlatformSettings(project_root=checkout, git_sha_at_start="c" * 40).git_sha == "c" * 40
