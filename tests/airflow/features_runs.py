"""Run by the tests in a process of its own: Airflow runs the features DAG, and what came of it is written as JSON.

The job is stood in for by one that publishes a snapshot of no rows: what is seen is what the other tasks decide.
"""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.utils.db import initdb

from mlops_platform.lake.datasets import Datasets
from mlops_platform.lake.inputs import snapshot_inputs
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots, snapshot_id
from mlops_platform.settings import load_settings
from mlops_platform.transform.compile import compile_transform
from mlops_platform.use_case.find import get_use_case

USE_CASE = get_use_case("credit_risk")
LAKE = Lake(load_settings().lake_root)
SNAPSHOTS = Snapshots(LAKE, USE_CASE.name)


def publish(operator: Any, context: Any) -> None:
    """What the job does, as far as other tasks can see."""
    arguments = operator.application_args
    if "--dry-run" in arguments:
        return
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    publish_snapshot(given["--run-id"], int(given["--dataset-version"]), dt.date.fromisoformat(given["--run-date"]))


def publish_snapshot(run_id: str, dataset_version: int, day: dt.date) -> None:
    dataset = Datasets(LAKE, USE_CASE).get(dataset_version)
    snapshot = snapshot_id(run_id)
    attempt = SNAPSHOTS.claim(snapshot)
    manifest = SnapshotManifest(
        snapshot=snapshot,
        use_case=USE_CASE.name,
        attempt=attempt,
        dataset_version=dataset.version,
        run_date=day,
        created_at=dt.datetime.now(dt.UTC),
        spec_hash=USE_CASE.spec_hash,
        inputs=snapshot_inputs(USE_CASE, dataset, compile_transform(USE_CASE), day),
        rows=0,
        entities=0,
        features_path=SNAPSHOTS.features_key(snapshot, attempt),
        online_path=SNAPSHOTS.online_key(snapshot, attempt),
        quality=Quality(rows_read=0, rows_valid=0, rows_quarantined=0),
    )
    with SNAPSHOTS.publishing(snapshot, attempt):
        SNAPSHOTS.publish(manifest)


def add_dataset(rows: int) -> None:
    file = Path(sys.argv[2]).with_name(f"{rows}.csv")
    lines = [",".join(USE_CASE.raw_columns), *["," * (len(USE_CASE.raw_columns) - 1)] * rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    Datasets(LAKE, USE_CASE).add(file)


def run(dag: Any, day: int, **conf: object) -> dict[str, Any]:
    """One run on a day of January 2026: its tasks that did their work, its result, and what is current after it."""
    # every parameter, since a run leaves those that it was given in the DAG
    given = {"dataset_version": 0, "dry_run": False, "force": False} | conf
    ended = dag.test(logical_date=dt.datetime(2026, 1, day, tzinfo=dt.UTC), run_conf=given)
    instances = {ti.task_id: ti for ti in ended.get_task_instances()}
    current = SNAPSHOTS.current()
    return {
        "state": str(ended.state),
        "succeeded": sorted(task_id for task_id, ti in instances.items() if ti.state == "success"),
        "skipped": sorted(task_id for task_id, ti in instances.items() if ti.state == "skipped"),
        "result": instances["report_result"].xcom_pull(task_ids="report_result"),
        "run_id": ended.run_id,
        "snapshot": snapshot_id(ended.run_id),
        "current": current and current.snapshot,
        "checked_later": current is not None and SNAPSHOTS.checked_at() != current.created_at,
    }


# before the DAGs are read, which take the operator as it is then
SparkSubmitOperator.execute = publish  # type: ignore[method-assign, assignment]
initdb()
bag = DagBag(sys.argv[1])
bundles: Any = DagBundlesManager
bundles().sync_bundles_to_db()
sync_bag_to_db(bag, "dags-folder", None)
features: Any = bag.dags["credit_risk_features"]

report: dict[str, Any] = {"no data": run(features, 10)}
add_dataset(rows=1)
report |= {"first": run(features, 11), "same": run(features, 12), "forced": run(features, 13, force=True)}
add_dataset(rows=2)
publish_snapshot("later", 2, dt.date(2999, 1, 1))
add_dataset(rows=3)
report |= {"earlier day": run(features, 15), "dry": run(features, 14, dry_run=True)}
resolve = features.get_task("resolve_dataset").python_callable
report["datasets when cleared"] = [
    resolve(USE_CASE.name, report[name]["run_id"], {"dataset_version": 0}) for name in ("first", "earlier day", "dry")
]
Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")
