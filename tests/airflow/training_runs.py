"""Run by the tests in a process of its own: Airflow runs the training DAG, and what came of it is written as JSON.

Training is stood in for by what registers and promotes versions without files, in a registry that is a scripted server:
what is seen is what the other tasks decide.
"""

import datetime as dt
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.utils.db import initdb

from mlops_platform.audit import AuditLog
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Quality, SnapshotManifest, Snapshots
from mlops_platform.models import registry
from mlops_platform.models.promotion import Promotion
from mlops_platform.models.registry import CHAMPION, ModelVersion, RegistryDown
from mlops_platform.pipelines import training_run
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import get_use_case
from operators.retries import ExitCode

USE_CASE = get_use_case("credit_risk")
LAKE = Lake(load_settings().lake_root)
SNAPSHOTS = Snapshots(LAKE, USE_CASE.name)
VERSIONS: list[ModelVersion] = []
ALIASES: dict[str, str] = {}
NEXT_VERDICT: dict[str, Any] = {}
TRAINED: list[str] = []


class Versions:
    """The registry, as far as the DAG asks it."""

    def __init__(self, url: str) -> None:
        pass

    def __enter__(self) -> "Versions":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def versions(self, name: str) -> list[ModelVersion]:
        return list(reversed(VERSIONS))

    def set_tag(self, name: str, version: str, key: str, value: str) -> None:
        at = int(version) - 1
        VERSIONS[at] = replace(VERSIONS[at], tags={**VERSIONS[at].tags, key: value})


def train(operator: Any, context: Any) -> dict[str, Any]:
    """What training does, as far as other tasks can see."""
    version = str(len(VERSIONS) + 1)
    VERSIONS.append(ModelVersion(USE_CASE.name, version, dt.datetime.now(dt.UTC), tags={}))
    snapshot = context["ti"].xcom_pull(task_ids="resolve_snapshot")
    TRAINED.append(snapshot)
    return {
        "use_case": USE_CASE.name,
        "snapshot": snapshot,
        "model_version": version,
        "family": "random_forest",
        "accepted": True,
        "candidates": [{"model_version": version}],
        **NEXT_VERDICT,
    }


def promote(registry: Versions, use_case: Any, version: str) -> Promotion:
    if os.environ.get("MLFLOW_IS_DOWN"):
        raise RegistryDown("MLflow does not answer", remedy="see that it runs")
    before = ALIASES.get(CHAMPION)
    ALIASES[CHAMPION] = version
    return Promotion(use_case=use_case.name, model_version=version, previous_version=before, changed=True)


def publish(name: str) -> None:
    attempt = SNAPSHOTS.claim(name)
    with SNAPSHOTS.publishing(name, attempt):
        SNAPSHOTS.publish(
            SnapshotManifest(
                snapshot=name,
                use_case=USE_CASE.name,
                attempt=attempt,
                dataset_version=1,
                run_date=dt.date(2026, 1, 1),
                created_at=dt.datetime.now(dt.UTC),
                spec_hash=USE_CASE.spec_hash,
                transform="f" * 64,
                inputs=f"{len(name):064x}",
                rows=1,
                entities=1,
                features_path=SNAPSHOTS.features_key(name, attempt),
                online_path=SNAPSHOTS.online_key(name, attempt),
                quality=Quality(rows_read=1, rows_valid=1, rows_quarantined=0),
            )
        )


def run(day: int, verdict: dict[str, Any] | None = None, **conf: object) -> dict[str, Any]:
    """One run: its tasks that did their work and that were skipped, its result, and the champion after it."""
    NEXT_VERDICT.clear()
    NEXT_VERDICT.update(verdict or {})
    given = {"snapshot": None, "require_approval": False, "force": False} | conf
    ended = training.test(logical_date=dt.datetime(2026, 1, day, tzinfo=dt.UTC), run_conf=given)
    instances = {ti.task_id: ti for ti in ended.get_task_instances()}
    return {
        "state": str(ended.state),
        "succeeded": sorted(task_id for task_id, ti in instances.items() if ti.state == "success"),
        "skipped": sorted(task_id for task_id, ti in instances.items() if ti.state == "skipped"),
        "result": instances["report_result"].xcom_pull(task_ids="report_result"),
        "champion": ALIASES.get(CHAMPION),
        "versions": len(VERSIONS),
    }


initdb()
bag = DagBag(sys.argv[1])
DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
sync_bag_to_db(bag, "dags-folder", None)
training: Any = bag.dags["credit_risk_training"]
type(training.get_task("train_candidates")).execute = train
promotion = training.get_task("promote_champion")
# tried again at once, as often as ever
promotion.retry_delay, promotion.retry_exponential_backoff = dt.timedelta(0), 0
names = promotion.python_callable.__globals__
names["promote"] = promote
for used_in in (vars(registry), vars(training_run), names):
    used_in["ModelRegistry"] = Versions

publish("first")
report: dict[str, Any] = {"first": run(10), "same": run(11), "forced": run(12, force=True)}
publish("second-one")
rejected = {"accepted": False, "failed_rules": ["roc_auc 0.5000 is below the minimum 0.5500"]}
report |= {"rejected": run(13, rejected), "rejected before": run(14)}
publish("a-third-one")
os.environ["MLFLOW_IS_DOWN"] = "yes"
report["promotion failed"] = run(15)
del os.environ["MLFLOW_IS_DOWN"]
report["tried again"] = run(16)
report["on record"] = [
    [entry.action, entry.use_case, entry.source, entry.subject, entry.result, entry.outcome]
    for entry in AuditLog(LAKE).entries()
]

branch = training.get_task("judge").python_callable
undecided = {
    "use_case": USE_CASE.name,
    "snapshot": "first",
    "model_version": "1",
    "family": "f",
    "accepted": True,
    "incomparable": ["not compared with the champion, version 1: gone"],
}
a_run = SimpleNamespace(dag_id="credit_risk_training", run_id="r")
report["undecided leads to"] = branch(undecided, {"require_approval": False}, a_run)

resolve = training.get_task("resolve_snapshot").python_callable
when = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def event(minute: int, extra: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(timestamp=when.replace(minute=minute), extra=extra)


report["resolved"] = {
    "event of a person": resolve(USE_CASE.name, {"snapshot": None}, {"asset": [event(1, {})]}),
    "last event": resolve(
        USE_CASE.name, {"snapshot": None}, {"asset": [event(2, {"snapshot": "first"}), event(1, {"snapshot": "none"})]}
    ),
    "param": resolve(USE_CASE.name, {"snapshot": "second-one"}, {"asset": [event(1, {"snapshot": "first"})]}),
}
compare = training.get_task("compare_with_registered").python_callable
unforced = {"force": False, "require_approval": False}
newest = {"snapshot": "a-third-one"}
report["is there anything to train"] = {
    "announced": compare(USE_CASE.name, newest["snapshot"], unforced, {"asset": [event(1, newest)]}) is not None,
    "announced by a forced run": compare(
        USE_CASE.name, newest["snapshot"], unforced, {"asset": [event(1, {**newest, "force": True})]}
    )
    is not None,
}
policy = training.get_task("train_candidates").retry_policy
report["retries"] = {
    str(code): str(policy.evaluate(ExitCode(code), 1, 2).action.value) for code in (1, os.EX_TEMPFAIL, -9, 137)
}
Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")
