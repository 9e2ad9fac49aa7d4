"""``<use_case>_features``: a raw dataset becomes a published snapshot of features. One DAG per use case."""

import datetime as dt
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Asset, CronTriggerTimetable, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowSkipException

from mlops_platform.clients.webhook import failure_callback
from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.inputs import snapshot_inputs
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots, snapshot_id
from mlops_platform.pipelines.names import (
    COMPUTE_TASK,
    REPORT_TASK,
    RESOLVE_DATASET_TASK,
    SPARK_POOL,
    features_asset,
    features_dag,
    training_dag,
)
from mlops_platform.pipelines.results import FeaturesOutcome, FeaturesReport
from mlops_platform.settings import load_settings
from mlops_platform.transform.compile import compile_transform
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import UseCase
from operators.retries import UnlessFinal

settings = load_settings()
lake = Lake(settings.lake_root)
log = logging.getLogger(__name__)

COMPARE_TASK = "compare_with_published"
RUN_TIMEOUT = dt.timedelta(hours=8)
"""Longer than all attempts of all tasks: a run that does not end keeps the next ones from starting."""
DOC = """
### {title}: features
Computes the features of the latest dataset (or of `dataset_version`) in Spark and publishes them as one snapshot: the
Hive partition and views, the online store, and last the pointer that readers follow. All of it or nothing.

A published snapshot starts `{training}`, unless it is of an earlier day than the one that is current. Where data,
spec and transform are those of the published snapshot, there is nothing to do: the work is skipped and the result is
`unchanged`, except with **force**. A **dry run** computes and checks everything and writes nothing. Bad rows are
quarantined; the log of `{compute}` counts them by rule.
"""


def timetable(schedule: str | None) -> CronTriggerTimetable | None:
    """By the clock, in UTC. A new installation waits for the next time instead of making up for the last one."""
    if schedule is None:
        return None
    return CronTriggerTimetable(schedule, timezone="UTC", run_immediately=dt.timedelta(0))


@task(task_id=RESOLVE_DATASET_TASK, execution_timeout=dt.timedelta(minutes=5))
def resolve_dataset(use_case: str, run_id: str, params: Mapping[str, Any]) -> int:
    datasets = Datasets(lake, get_use_case(use_case))
    before = Snapshots(lake, use_case).find(snapshot_id(run_id))
    if before is not None:
        # what this run published it publishes again, whatever has arrived since
        return before.dataset_version
    if params["dataset_version"]:
        return datasets.get(params["dataset_version"]).version
    latest = datasets.latest()
    if latest is None:
        raise AirflowSkipException(f"{use_case} has no dataset yet: add one with `mlops data add {use_case} FILE`")
    return latest.version


@task.short_circuit(
    task_id=COMPARE_TASK, ignore_downstream_trigger_rules=False, execution_timeout=dt.timedelta(minutes=5)
)
def compare_with_published(use_case: str, run_id: str, params: Mapping[str, Any], ti: Any, dag_run: Any) -> bool:
    """Whether there is anything to compute that the published snapshot has not."""
    if params["force"] or params["dry_run"]:
        return True
    spec, snapshots = get_use_case(use_case), Snapshots(lake, use_case)
    datasets, current = Datasets(lake, spec), snapshots.current()
    dataset = datasets.get(ti.xcom_pull(task_ids=RESOLVE_DATASET_TASK))
    # what this very run published may not have been announced yet
    if current is None or current.snapshot == snapshot_id(run_id):
        return True
    if current.inputs != snapshot_inputs(spec, dataset, compile_transform(spec), dag_run.run_after.date()):
        return True
    log.info("unchanged: snapshot %s has the same data, spec and transform", current.snapshot)
    if dataset == datasets.latest():
        snapshots.note_check(dt.datetime.now(dt.UTC))
    return False


def job_arguments(use_case: str, context: Mapping[str, Any], jinja_env: object) -> list[str]:
    """The feature job's arguments in this run. It is told the run's day: a job never asks the clock."""
    run = context["dag_run"]
    arguments = {
        "--use-case": use_case,
        "--dataset-version": str(context["ti"].xcom_pull(task_ids=RESOLVE_DATASET_TASK)),
        "--run-id": run.run_id,
        "--run-date": run.run_after.date().isoformat(),
    }
    given = [part for argument in arguments.items() for part in argument]
    return [*given, "--dry-run"] if context["params"]["dry_run"] else given


@task(execution_timeout=dt.timedelta(minutes=5))
def announce_snapshot(use_case: str, run_id: str, params: Mapping[str, Any], outlet_events: Any) -> str:
    if params["dry_run"]:
        raise AirflowSkipException("a dry run publishes nothing, so there is nothing to announce")
    snapshots = Snapshots(lake, use_case)
    manifest, current = snapshots.get(snapshot_id(run_id)), snapshots.current()
    if current is None or current.snapshot != manifest.snapshot:
        raise AirflowSkipException(f"{manifest.snapshot} is of an earlier day than the current snapshot, which stays")
    outlet_events[Asset(features_asset(use_case))].extra = {
        "snapshot": manifest.snapshot,
        "dataset_version": manifest.dataset_version,
        # the rows are those of before, and so would the models be: whoever forces a run means the training as well
        "force": params["force"],
    }
    return manifest.snapshot


@task(task_id=REPORT_TASK, trigger_rule=TriggerRule.NONE_FAILED, execution_timeout=dt.timedelta(minutes=5))
def report_result(use_case: str, run_id: str, params: Mapping[str, Any], ti: Any) -> dict[str, Any]:
    if ti.xcom_pull(task_ids=RESOLVE_DATASET_TASK) is None:
        report = FeaturesReport(result=FeaturesOutcome.NO_DATA)
    elif params["dry_run"]:
        report = FeaturesReport(result=FeaturesOutcome.DRY_RUN)
    elif ti.xcom_pull(task_ids=COMPARE_TASK):
        report = FeaturesReport(result=FeaturesOutcome.PUBLISHED, snapshot=snapshot_id(run_id))
    else:
        current = Snapshots(lake, use_case).current()
        report = FeaturesReport(result=FeaturesOutcome.UNCHANGED, snapshot=current.snapshot if current else None)
    return report.model_dump(mode="json")


def build_dag(use_case: UseCase) -> DAG:
    dag_id = features_dag(use_case.name)
    with DAG(
        dag_id=dag_id,
        description=f"{use_case.title}: raw data to a published snapshot of features",
        doc_md=DOC.format(title=use_case.title, training=training_dag(use_case.name), compute=COMPUTE_TASK),
        schedule=timetable(use_case.schedule),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=RUN_TIMEOUT,
        is_paused_upon_creation=False,
        default_args={
            "owner": use_case.owner,
            "retries": 2,
            "retry_delay": dt.timedelta(seconds=15),
            "retry_exponential_backoff": 2,
            "max_retry_delay": dt.timedelta(minutes=5),
            "retry_policy": UnlessFinal(),
        },
        params={
            "dataset_version": Param(0, type="integer", minimum=0, description="the dataset; 0 is the latest"),
            "dry_run": Param(False, type="boolean", description="compute and check everything, write nothing"),
            "force": Param(False, type="boolean", description="also where nothing is new"),
        },
        on_failure_callback=failure_callback(settings, use_case.name, dag_id),
        tags=[use_case.name, "features"],
    ) as dag:
        compute_features = SparkSubmitOperator(
            task_id=COMPUTE_TASK,
            conn_id="spark_default",
            name=dag_id,
            application=str(settings.project_root / "spark_jobs" / "feature_job.py"),
            application_args=partial(job_arguments, use_case.name),
            execution_timeout=dt.timedelta(hours=2),
            pool=SPARK_POOL,
        )
        announced = announce_snapshot.override(outlets=[Asset(features_asset(use_case.name))])(use_case.name)
        compared = compare_with_published(use_case.name)
        resolve_dataset(use_case.name) >> compared >> compute_features >> announced >> report_result(use_case.name)
    return dag


for use_case in all_use_cases():
    build_dag(use_case)
