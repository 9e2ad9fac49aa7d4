"""Run by the tests in a process of its own: reads the DAG files as Airflow does and writes what it found as JSON."""

import datetime as dt
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

from mlops_platform.errors import RawDataError
from mlops_platform.online_store.redis import RedisUnavailable

HEAVY = ("mlflow", "numpy", "pandas", "pyarrow", "pyspark", "sklearn", "matplotlib")


def describe(dag: Any) -> dict[str, Any]:
    timetable = DagSerialization.to_dict(dag)["dag"]["timetable"]
    return {
        "edges": sorted([task.task_id, after] for task in dag.tasks for after in task.downstream_task_ids),
        "retries": {task.task_id: task.retries for task in dag.tasks},
        "without_deadline": [task.task_id for task in dag.tasks if task.execution_timeout is None],
        "trigger_rules": {task.task_id: task.trigger_rule.value for task in dag.tasks},
        "outlets": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks if task.outlets},
        "params": {name: dag.params[name] for name in dag.params},
        "timetable": timetable["__var"],
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "run_timeout_hours": dag.dagrun_timeout.total_seconds() / 3600 if dag.dagrun_timeout else None,
        "pools": {task.task_id: task.pool for task in dag.tasks if task.pool != "default_pool"},
        "paused": dag.is_paused_upon_creation,
        "documented": bool(dag.doc_md),
        "reports_failure": bool(dag.on_failure_callback),
        "tags": sorted(dag.tags),
    }


def job_arguments(dag: Any, *, dry_run: bool) -> list[str]:
    context = {
        "dag_run": SimpleNamespace(run_id="manual__1", run_after=dt.datetime(2026, 1, 2, 23, 59, tzinfo=dt.UTC)),
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: {"resolve_dataset": 7}[task_ids]),
        "params": {"dry_run": dry_run},
    }
    return list(dag.get_task("compute_features").application_args(context=context, jinja_env=None))


def retry_decision(dag: Any, error: Exception) -> str:
    policy = dag.get_task("compute_features").retry_policy
    return str(policy.evaluate(error, 1, 2).action.value)


def failed_submission(dag: Any, exit_code: int) -> Exception:
    """What the operator raises where ``spark-submit`` ends with this code, after a message with a remedy."""
    hook = dag.get_task("compute_features")._get_hook()
    submit = Path(sys.argv[2]).with_name(f"exit_{exit_code}.sh")
    submit.write_text(f"#!/bin/sh\necho 'feature job failed: it is. Remedy: do'\nexit {exit_code}\n", encoding="utf-8")
    submit.chmod(0o755)
    with patch.object(hook, "_build_spark_submit_command", lambda _: [str(submit)]):
        try:
            hook.submit("feature_job.py")
        except Exception as error:
            return error
    raise AssertionError("a submission that failed is no error")


bag = DagBag(sys.argv[1])
features = bag.dags["credit_risk_features"]
report = {
    "import_errors": bag.import_errors,
    "heavy": [name for name in HEAVY if name in sys.modules],
    "dags": {dag_id: describe(dag) for dag_id, dag in bag.dags.items()},
    "job_arguments": [job_arguments(features, dry_run=dry_run) for dry_run in (False, True)],
    "retries": {
        "refused by the job": retry_decision(features, failed_submission(features, 1)),
        "may pass": retry_decision(features, failed_submission(features, os.EX_TEMPFAIL)),
        "killed": retry_decision(features, failed_submission(features, 137)),
        "refused by a task": retry_decision(features, RawDataError("no such dataset", remedy="add it")),
        "away": retry_decision(features, RedisUnavailable("Redis did not answer", remedy="see that it runs")),
        "unforeseen": retry_decision(features, RuntimeError("gone")),
    },
}
Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")
