import logging
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from mlops_platform.clients.webhook import Notification, failure_callback, notify
from mlops_platform.settings import PlatformSettings
from tests.scripted_server import ScriptedServer

PROMOTED = Notification(
    event="model_promoted",
    use_case="credit_risk",
    dag_id="credit_risk_training",
    run_id="r1",
    text="Version 3 is the champion of credit_risk.",
    url="http://127.0.0.1:8080/dags/credit_risk_training/runs/r1",
    details={"model_version": "3"},
)


def with_webhook(settings: PlatformSettings, url: str) -> PlatformSettings:
    return settings.model_copy(update={"notification_webhook_url": SecretStr(url)})


def test_the_webhook_gets_the_whole_notification(server: ScriptedServer, settings: PlatformSettings) -> None:
    server.on("POST", "/hook/token", "ok")
    assert notify(with_webhook(settings, f"http://127.0.0.1:{server.port}/hook/token"), PROMOTED)
    assert [asked.body for asked in server.asked] == [
        {
            "event": "model_promoted",
            "use_case": "credit_risk",
            "dag_id": "credit_risk_training",
            "run_id": "r1",
            "text": "Version 3 is the champion of credit_risk.",
            "url": "http://127.0.0.1:8080/dags/credit_risk_training/runs/r1",
            "details": {"model_version": "3"},
        }
    ]


def test_without_a_webhook_nobody_is_asked(server: ScriptedServer, settings: PlatformSettings) -> None:
    assert not notify(settings, PROMOTED)
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:{port}/hook/token", "the notification of model_promoted was refused with status 500"),
        ("http://127.0.0.1:{closed}/hook/token", "the notification of model_promoted was not delivered: URLError"),
        ("no address/token", "the notification of model_promoted was not delivered: ValueError"),
    ],
)
def test_a_webhook_that_fails_is_logged_without_its_address(
    server: ScriptedServer,
    settings: PlatformSettings,
    unused_port: int,
    caplog: pytest.LogCaptureFixture,
    *,
    url: str,
    said: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("POST", "/hook/token", "broken", status=500)
    assert not notify(with_webhook(settings, url.format(port=server.port, closed=unused_port)), PROMOTED)
    assert caplog.messages == [said]


def test_a_failed_run_is_told_with_its_task(server: ScriptedServer, settings: PlatformSettings) -> None:
    server.on("POST", "/hook", "ok")
    told = with_webhook(settings, f"http://127.0.0.1:{server.port}/hook")
    report = failure_callback(told, "credit_risk", "credit_risk_features")
    report({"run_id": "r1", "task_instance": SimpleNamespace(task_id="compute_features"), "reason": "task_failure"})
    report({"run_id": "r2", "reason": "timed_out"})
    assert [asked.body["text"] for asked in server.asked] == [
        "The run r1 of credit_risk_features failed in the task compute_features.",
        "The run r2 of credit_risk_features failed.",
    ]
