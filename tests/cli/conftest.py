"""The command line as a user or a script meets it: output, errors, exit codes."""

from dataclasses import dataclass

import pytest

from cli.main import main
from mlops_platform.settings import PlatformSettings, load_settings


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class Mlops:
    """Runs one command in this process."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured

    def __call__(self, *arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = self._captured.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def mlops(settings: PlatformSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Mlops:
    """The command line in this test's installation: the checkout may have been started, and have an .env of its own."""
    monkeypatch.setattr("cli.installation.load_settings", lambda: load_settings(None))
    return Mlops(capsys)
