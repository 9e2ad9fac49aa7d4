"""Which commit a checkout's code is. Standard library only, in syntax that Python 3.8 reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

UNKNOWN = "unknown"


def revision(root: Path) -> str:
    """The commit of the checkout in ``root``, 40 hex digits, followed by ``-dirty`` where its files differ from it.

    Files that git ignores do not count, new ones do. On a machine without git the commit is read out of ``.git``, and
    whether files differ cannot be told. ``unknown`` where ``root`` is no checkout, or has no commit yet.
    """
    if not (root / ".git").exists():  # git itself would go on to look in the folders above
        return UNKNOWN
    commit, changes = _git(root, "rev-parse", "--verify", "HEAD"), _git(root, "status", "--porcelain")
    if commit is None:
        return _written_commit(root) or UNKNOWN
    return f"{commit}-dirty" if changes else commit


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where there is none, or it refuses (a checkout of another user)."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=str(root), capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _written_commit(root: Path) -> str | None:
    """What HEAD points to, as git writes it down; a worktree's ``.git`` is a file that names its folder."""
    try:
        own = root / ".git"
        if own.is_file():
            own = root / own.read_text(encoding="utf-8").split("gitdir:", 1)[1].strip()
        common = own / "commondir"
        shared = own / common.read_text(encoding="utf-8").strip() if common.exists() else own
        head = (own / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return _commit(head)
        name = head.split(":", 1)[1].strip()
        if (shared / name).exists():
            return _commit((shared / name).read_text(encoding="utf-8").strip())
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
    except (OSError, IndexError):
        return None
    return next((_commit(line.split(" ", 1)[0]) for line in packed if line.endswith(f" {name}")), None)


def _commit(text: str) -> str | None:
    return text if re.match(r"[0-9a-f]{40}$", text) else None
