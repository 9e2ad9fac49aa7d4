"""The pages that people look at: where each is, and how one logs in."""

from enum import StrEnum

from mlops_platform.settings import PlatformSettings


class Page(StrEnum):
    """A page, by the name that is typed."""

    AIRFLOW = "airflow"
    SPARK = "spark"
    MLFLOW = "mlflow"
    API = "api"
    JUPYTER = "jupyter"


TITLES = {
    Page.AIRFLOW: "Airflow",
    Page.SPARK: "Spark",
    Page.MLFLOW: "MLflow",
    Page.API: "API docs",
    Page.JUPYTER: "Jupyter",
}


def address(settings: PlatformSettings, page: Page) -> tuple[str, str]:
    """The page's URL, and how one logs in: where a secret stands, never the secret; ``-`` where nobody asks."""
    return {
        Page.AIRFLOW: (
            settings.airflow_url,
            f"{settings.airflow_admin_user} / MLOPS_AIRFLOW_ADMIN_PASSWORD in .env",
        ),
        Page.SPARK: (f"http://{settings.spark_master_host}:{settings.spark_master_ui_port}", "-"),
        Page.MLFLOW: (settings.mlflow_url, "-"),
        Page.API: (f"{settings.serving_url}/docs", "-"),
        Page.JUPYTER: (f"http://{settings.bind_address}:{settings.jupyter_port}", "token: MLOPS_JUPYTER_TOKEN in .env"),
    }[page]
