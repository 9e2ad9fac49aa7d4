"""What a start ends with: where everything is, how to log in, one prediction, what to try next."""

import shlex

from mlops_platform.settings import PlatformSettings


def urls(settings: PlatformSettings) -> list[tuple[str, str, str]]:
    """Each user interface: its name, its URL, how to log in."""
    host = settings.bind_address
    admin = f"{settings.airflow_admin_user} / MLOPS_AIRFLOW_ADMIN_PASSWORD in .env"
    return [
        ("Airflow", settings.airflow_url, admin),
        ("Spark", f"http://{settings.spark_master_host}:{settings.spark_master_ui_port}", "-"),
        ("MLflow", settings.mlflow_url, "-"),
        ("API docs", f"{settings.serving_url}/docs", "-"),
        ("Jupyter", f"http://{host}:{settings.jupyter_port}", "token: MLOPS_JUPYTER_TOKEN in .env"),
    ]


def _trusting(settings: PlatformSettings) -> str:
    certificate = settings.serving_tls_certificate
    return f"--cacert {shlex.quote(str(certificate))} " if certificate else ""


def summary(settings: PlatformSettings, prediction: tuple[str, str]) -> str:
    """The whole message."""
    url, answer = prediction
    return "\n".join(
        [
            "",
            *(f"  {name:<9} {address:<30} {login}" for name, address, login in urls(settings)),
            "",
            "A prediction:",
            f"  $ curl -s {_trusting(settings)}{url}",
            f"  {answer}",
            "",
            "Next:",
            "  .venv/bin/mlops status                          what is published, who is champion",
            f"  .venv/bin/mlops predict {url.rsplit('/', 1)[1]:<24}the same from the command line",
            "  .venv/bin/mlops run credit_risk features --wait   the pipeline again",
            "  ./stop.sh                                       stop, and keep all data",
        ]
    )
