"""``mlops status``."""

import datetime as dt

from cli.verbs.status import status_text
from mlops_platform.services.status import RunStatus, ServiceStatus, Status, UseCaseStatus


def test_status_shows_services_and_what_is_published() -> None:
    at = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    note = "rejected: version 4\n- roc_auc is too low"
    runs = (RunStatus("credit_risk_training", "t1", "success", at, note),)
    use_case = UseCaseStatus("credit_risk", 2, "s2", 20, 7, at, "3", runs)
    services = (ServiceStatus("mlflow", usable=True), ServiceStatus("serving", usable=False))
    assert status_text(Status(services, (use_case,))) == (
        "service\n"
        "mlflow   ready\n"
        "serving  DOWN\n"
        "\n"
        "credit_risk\n"
        "  dataset    2\n"
        "  snapshot   s2\n"
        "  published  2026-01-02 03:04\n"
        "  rows       20\n"
        "  entities   7\n"
        "  champion   3\n"
        "  last run   credit_risk_training: success, 2026-01-02 03:04 (t1)\n"
        "      rejected: version 4\n"
        "      - roc_auc is too low"
    )
