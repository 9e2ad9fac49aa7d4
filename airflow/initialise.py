"""Brings Airflow's database to its version's schema, makes the admin user and the pool, in one process.

Airflow imports slowly, so it imports Airflow only where there is something to do. ``.env`` holds the admin's password:
a password changed there is the password from the next start on.
"""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from mlops_platform.pipelines.names import SPARK_POOL


def migrate() -> None:
    """Brings the database, made where there is none, to the schema of the installed version."""
    from airflow.utils import db  # noqa: PLC0415

    from airflow import settings  # noqa: PLC0415

    settings.initialize()  # type: ignore[no-untyped-call]
    db.upgradedb()


def make_admin(user: str, password: str) -> None:
    """Makes the admin user, or gives it this password."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder  # noqa: PLC0415

    with get_application_builder() as builder:
        security = builder.sm
        existing = security.find_user(username=user)
        if existing is not None:
            security.reset_password(existing.id, password)
            return
        role = security.find_role("Admin")
        if not security.add_user(user, "Platform", "Admin", f"{user}@localhost.localdomain", role, password):
            raise SystemExit(f"airflow: the user {user} could not be made")


def make_pool(slots: int) -> None:
    """Makes the pool of the tasks that Spark works for, or gives it so many slots."""
    from airflow.models.pool import Pool  # noqa: PLC0415

    Pool.create_or_update_pool(SPARK_POOL, slots, "Spark jobs at once", include_deferred=False)


def main() -> None:
    user, password = os.environ["MLOPS_AIRFLOW_ADMIN_USER"], os.environ["MLOPS_AIRFLOW_ADMIN_PASSWORD"]
    # a worker offers three times the cores of a job: one of them is left to notebooks
    slots = 2 * int(os.environ["MLOPS_SPARK_WORKERS"])
    database = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    known = [version("apache-airflow"), database, user, password, str(slots)]
    state = hashlib.sha256("\n".join(known).encode()).hexdigest()
    stamp = Path(os.environ["AIRFLOW_HOME"]) / "initialised"
    database_file = Path(database.removeprefix("sqlite:///"))
    if database_file.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == state:
        return
    migrate()
    make_admin(user, password)
    make_pool(slots)
    stamp.write_text(state, encoding="utf-8")


if __name__ == "__main__":
    main()
