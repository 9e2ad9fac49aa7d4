"""What the launcher's client asks, and what it makes of the answers."""

from collections.abc import Iterator

import pytest

from mlops_platform.clients.training_launcher import LauncherAway, LauncherRefused, RunLost, TrainingLauncher
from mlops_platform.errors import PlatformError
from tests.scripted_server import Asked, ScriptedServer

RUN_ID = "asset__2026-01-02T03:04:05+00:00"
PATH = "/training-runs/credit_risk/asset__2026-01-02T03%3A04%3A05%2B00%3A00"
AWAY = (503, {"what": "the engine failed", "remedy": "see that Docker runs"})


@pytest.fixture
def launcher(server: ScriptedServer) -> Iterator[TrainingLauncher]:
    url = f"http://127.0.0.1:{server.port}"
    with TrainingLauncher(url, "the-token", poll_seconds=0.01, patience=5) as launcher:
        yield launcher


def state(exit_code: int | None, *lines: tuple[str, str]) -> dict[str, object]:
    return {"exit_code": exit_code, "lines": [{"at": at, "text": text} for at, text in lines]}


def test_a_run_is_started_by_its_name(server: ScriptedServer, launcher: TrainingLauncher) -> None:
    server.on("PUT", PATH, AWAY, (200, None))
    launcher.start("credit_risk", "s-1", RUN_ID)
    assert server.asked == [Asked("PUT", PATH, "snapshot=s-1", None, "Bearer the-token")] * 2


def test_each_line_is_shown_once_though_the_launcher_is_away_meanwhile(
    server: ScriptedServer, launcher: TrainingLauncher
) -> None:
    first, second, third = "2026-01-02T03:04:05", "2026-01-02T03:04:05.1", "2026-01-02T03:04:06"
    server.on(
        "GET",
        PATH,
        state(None),
        state(None, (first, "fitting"), (second, "measuring")),
        AWAY,
        (500, "Internal Server Error"),
        state(None),
        state(75, (third, "MLflow is away")),
    )
    shown: list[str] = []
    assert launcher.follow("credit_risk", RUN_ID, shown.append) == 75
    assert shown == ["fitting", "measuring", "MLflow is away"]
    after = f"after={second.replace(':', '%3A')}"
    assert [asked.query for asked in server.asked] == ["", "", *[after] * 4]


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ((404, {"what": "no such run", "remedy": "start it"}), RunLost, "no such run. Remedy: start it"),
        (
            (409, {"what": "no such snapshot", "remedy": "publish it"}),
            LauncherRefused,
            "the training launcher: no such snapshot. Remedy: publish it",
        ),
        (
            (413, "too large"),
            LauncherRefused,
            "the training launcher: it answered 413: too large. Remedy: see `docker compose logs training-launcher`",
        ),
    ],
)
def test_what_another_try_would_not_mend_is_said_at_once(
    server: ScriptedServer,
    launcher: TrainingLauncher,
    answer: tuple[int, object],
    error: type[PlatformError],
    message: str,
) -> None:
    server.on("GET", PATH, answer)
    with pytest.raises(error) as caught:
        launcher.follow("credit_risk", RUN_ID, print)
    assert (str(caught.value), len(server.asked)) == (message, 1)
    assert caught.value.transient == (error is RunLost)


def test_patience_has_an_end(server: ScriptedServer, unused_port: int) -> None:
    server.on("DELETE", PATH, AWAY)
    for port, said in (
        (server.port, "the training launcher: the engine failed. Remedy: see that Docker runs"),
        (unused_port, "the training launcher does not answer"),
    ):
        launcher = TrainingLauncher(f"http://127.0.0.1:{port}", "t", poll_seconds=0.01, patience=0.05)
        with launcher, pytest.raises(LauncherAway) as caught:
            launcher.remove("credit_risk", RUN_ID)
        assert str(caught.value).startswith(said)
        assert caught.value.transient
