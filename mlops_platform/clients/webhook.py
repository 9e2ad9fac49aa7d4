"""Notifications to a webhook, where one is configured. They tell of a run; they never make it fail."""

import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any, Literal

from pydantic import BaseModel

from mlops_platform.settings import PlatformSettings

_TIMEOUT = 10.0
_log = logging.getLogger(__name__)


class Notification(BaseModel):
    """The JSON body that the webhook gets. ``text`` is a whole sentence: chat services show that field."""

    event: Literal["run_failed", "model_promoted"]
    use_case: str
    dag_id: str
    run_id: str
    text: str
    url: str
    details: dict[str, Any] = {}


def notify(settings: PlatformSettings, notification: Notification) -> bool:
    """Post to the webhook. Returns whether it was taken; False without a webhook or when it cannot be reached.

    Nothing of the URL is logged: it often carries a token.
    """
    if settings.notification_webhook_url is None:
        return False
    body = notification.model_dump_json().encode()
    headers = {"Content-Type": "application/json"}
    try:
        # urllib, since httpx writes every URL it asks to the log
        request = urllib.request.Request(settings.notification_webhook_url.get_secret_value(), body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310 - the address is the operator's own
            return True
    except urllib.error.HTTPError as error:
        _log.warning("the notification of %s was refused with status %s", notification.event, error.code)
    except (OSError, ValueError, HTTPException) as error:
        _log.warning("the notification of %s was not delivered: %s", notification.event, type(error).__name__)
    return False


def run_url(settings: PlatformSettings, dag_id: str, run_id: str) -> str:
    """The run's page in Airflow."""
    return f"{settings.public.airflow_url}/dags/{dag_id}/runs/{run_id}"


def failure_callback(settings: PlatformSettings, use_case: str, dag_id: str) -> Callable[[Mapping[str, Any]], None]:
    """What a DAG calls, with Airflow's context, when one of its runs has failed."""

    def report_failure(context: Mapping[str, Any]) -> None:
        run_id = str(context.get("run_id"))
        task = context.get("task_instance")
        where = f" in the task {task.task_id}" if task is not None else ""
        notify(
            settings,
            Notification(
                event="run_failed",
                use_case=use_case,
                dag_id=dag_id,
                run_id=run_id,
                text=f"The run {run_id} of {dag_id} failed{where}.",
                url=run_url(settings, dag_id, run_id),
                details={"task": task.task_id} if task is not None else {},
            ),
        )

    return report_failure
