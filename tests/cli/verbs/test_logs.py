"""``mlops logs``: of a local service, which may be down."""

import json
import threading
from pathlib import Path

import pytest

from mlops_platform.settings import PlatformSettings
from stack.logs import log_lines
from tests.cli.conftest import Mlops, Outcome
from tests.processes import wait_until


@pytest.fixture
def log(settings: PlatformSettings) -> Path:
    path = settings.state_dir / "log" / "serving.log"
    path.parent.mkdir(parents=True)
    path.write_text("one\ntwo\nthree\n", encoding="utf-8")
    return path


@pytest.mark.usefixtures("log")
def test_the_last_lines_are_shown(mlops: Mlops) -> None:
    assert mlops("logs", "serving") == Outcome(0, "one\ntwo\nthree\n", "")
    assert mlops("logs", "serving", "--lines", "2") == Outcome(0, "two\nthree\n", "")
    shown = mlops("logs", "serving", "-n", "1", "--json")
    assert json.loads(shown.out) == {"service": "serving", "line": "three"}


def test_what_is_not_there_is_named(mlops: Mlops, settings: PlatformSettings) -> None:
    unknown = mlops("logs", "servng")
    assert (unknown.code, unknown.err.startswith("error: there is no service 'servng'. Remedy: the services are")) == (
        3,
        True,
    )
    assert mlops("logs", "mlflow") == Outcome(
        1,
        "",
        f"error: mlflow has no log yet: {settings.state_dir}/log/mlflow.log does not exist. "
        "Remedy: start it with ./start.sh\n",
    )


def test_what_comes_is_followed_into_the_next_file(log: Path, settings: PlatformSettings) -> None:
    seen: list[str] = []

    def follow() -> None:
        for line in log_lines(settings, "serving", last=1, follow=True):
            seen.append(line)
            if line == "five":
                return

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    wait_until(lambda: seen == ["three"], "the last line", 10)
    with log.open("a", encoding="utf-8") as file:
        file.write("fo")
        file.flush()
        file.write("ur\n")
    wait_until(lambda: seen == ["three", "four"], "the next line", 10)
    log.rename(log.with_suffix(".log.1"))
    log.write_text("five\n", encoding="utf-8")
    following.join(10)
    assert seen == ["three", "four", "five"]
