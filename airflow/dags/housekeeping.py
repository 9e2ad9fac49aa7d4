"""``housekeeping``: what Airflow remembers of old runs is removed once a day: its database and logs end growing."""

import datetime as dt
import os
import shutil

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, CronTriggerTimetable, task

from mlops_platform.clients.airflow import AWAY_SECONDS, AirflowClient
from mlops_platform.clients.webhook import failure_callback
from mlops_platform.errors import PlatformError
from mlops_platform.pipelines.names import HOUSEKEEPING_DAG
from mlops_platform.services.environment import service_environment
from mlops_platform.settings import load_settings

settings = load_settings()

LAST_RUNS_KEPT = 10
"""Of each DAG, however old they are."""
CLEANED_TABLES = ("job", "log", "import_error", "session", "revoked_token")
"""What grows by itself in Airflow's database; everything else goes with its run."""
DOC = f"""
### Housekeeping
Removes runs of more than {settings.airflow_history_days} days ago (MLOPS_AIRFLOW_HISTORY_DAYS) with tasks, results
and logs, but never the last {LAST_RUNS_KEPT} runs of a DAG; and what else Airflow's database keeps of that time.
"""


@task(execution_timeout=dt.timedelta(hours=1))
def remove_old_runs() -> int:
    """How many were removed."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.airflow_history_days)
    with AirflowClient(settings, patience=AWAY_SECONDS) as airflow:
        old = [run for dag in airflow.dags() for run in airflow.ended_runs(dag, before, keep=LAST_RUNS_KEPT)]
        for run in old:
            airflow.delete_run(run)
            logs = settings.state_dir / "airflow" / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}"
            shutil.rmtree(logs, ignore_errors=True)
    return len(old)


@task(execution_timeout=dt.timedelta(hours=1))
def clean_database() -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.airflow_history_days)
    command = ["airflow", "db", "clean", "--clean-before-timestamp", before.isoformat(), "--skip-archive", "--yes"]
    ended = SubprocessHook().run_command(
        [*command, "--tables", ",".join(CLEANED_TABLES), "--error-on-cleanup-failure"],
        # Airflow keeps its tasks from its database: this command has the address as a service has it
        env=service_environment(settings, os.environ),
        cwd=str(settings.project_root),
    )
    if ended.exit_code != 0:
        raise PlatformError(
            f"airflow db clean ended with the exit code {ended.exit_code}", remedy="see its messages above"
        )


with DAG(
    dag_id=HOUSEKEEPING_DAG,
    description="Old runs and what else Airflow keeps of them are removed",
    doc_md=DOC,
    schedule=CronTriggerTimetable("30 3 * * *", timezone="UTC", run_immediately=dt.timedelta(0)),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args={"owner": "platform", "retries": 2, "retry_delay": dt.timedelta(minutes=1)},
    on_failure_callback=failure_callback(settings, "the platform", HOUSEKEEPING_DAG),
    tags=["platform"],
):
    remove_old_runs() >> clean_database()
