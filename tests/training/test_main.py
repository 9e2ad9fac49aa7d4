"""What a training run is told about the code."""

import pytest

from training.__main__ import git_sha


def test_a_machine_without_git_trains_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert git_sha() == "unknown"
