"""``<use_case>_training``: a published snapshot becomes candidate models, and the best of them may become champion.

One DAG per use case. Nothing that serves changes before ``promote_champion`` moves the alias.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, Param, TriggerRule, task

from mlops_platform.audit import Act, AuditLog
from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.clients.webhook import Notification, failure_callback, notify, run_url
from mlops_platform.errors import PlatformError, SnapshotError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.promotion import promote
from mlops_platform.models.registry import ModelRegistry
from mlops_platform.models.verdict import Decision, Verdict
from mlops_platform.pipelines.names import (
    APPROVE_TASK,
    PROMOTE_TASK,
    REPORT_TASK,
    TRAIN_TASK,
    features_asset,
    training_dag,
)
from mlops_platform.pipelines.results import TrainingOutcome, TrainingReport
from mlops_platform.pipelines.training_run import job_digest, note_done, version_of_job
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import UseCase
from operators.retries import UnlessFinal
from operators.train import TrainInContainer, TrainInProcess

settings = load_settings()
lake = Lake(settings.lake_root)
log = logging.getLogger(__name__)

RESOLVE_TASK, COMPARE_TASK, JUDGE_TASK, NOTIFY_TASK = "resolve_snapshot", "compare_with_registered", "judge", "notify"
DOC = """
### {title}: training
Fits every candidate family on one snapshot, measures them on the holdout, registers them in MLflow, and judges them by
the use case's rules, beside the champion and the best that ever was. A candidate that is accepted becomes `champion`,
and the service takes it up; one that is rejected leaves the champion as it is, and `judge` says which rules it failed,
in its log and in the run's note.

Where snapshot, spec and code are those of the newest registered models, there is nothing to do: the work is skipped and
the result is `unchanged`, except with **force**.

With **require_approval**, and where a candidate could not be compared, a person decides before the promotion, here
under *Required Actions* or with `mlops approve {name}`. Rejected, or unanswered for {hours} hours, it is not promoted.
"""
APPROVAL_TIMEOUT = dt.timedelta(hours=24)
RUN_TIMEOUT = APPROVAL_TIMEOUT + dt.timedelta(hours=8)
"""Longer than all attempts of all tasks: a run that does not end keeps the next ones from starting."""
VERDICT = f"ti.xcom_pull(task_ids='{TRAIN_TASK}')"
SHORT = dt.timedelta(minutes=5)

Train = TrainInContainer if settings.training_launcher_url else TrainInProcess


@task(task_id=RESOLVE_TASK, execution_timeout=SHORT)
def resolve_snapshot(use_case: str, params: Mapping[str, Any], triggering_asset_events: Any) -> str:
    """The snapshot to train on: the one that was named, else the one that was announced, else the published one."""
    snapshots = Snapshots(lake, use_case)
    wanted = params["snapshot"] or _last_announced(triggering_asset_events).get("snapshot")
    if wanted:
        return snapshots.get(wanted).snapshot
    current = snapshots.current()
    if current is None:
        raise SnapshotError(f"{use_case} has no snapshot yet", remedy=f"run `mlops run {use_case} features`")
    return current.snapshot


def _last_announced(triggering_asset_events: Any) -> Mapping[str, Any]:
    """What a features run told with the newest snapshot that it announced; nothing where none started this run."""
    announced = [event for events in triggering_asset_events.values() for event in events]
    # an event that a person made in the UI tells nothing
    told = [event.extra for event in sorted(announced, key=lambda event: event.timestamp) if event.extra]
    return told[-1] if told else {}


@task.short_circuit(task_id=COMPARE_TASK, ignore_downstream_trigger_rules=False, execution_timeout=SHORT)
def compare_with_registered(
    use_case: str, snapshot: str, params: Mapping[str, Any], triggering_asset_events: Any
) -> str | None:
    """The job's digest, if there is anything to train that the newest registered models are not the result of."""
    digest = job_digest(get_use_case(use_case), Snapshots(lake, use_case).get(snapshot), settings.project_root)
    forced = params["force"] or _last_announced(triggering_asset_events).get("force")
    # who asks for an approval wants to be asked
    if forced or params["require_approval"]:
        return digest
    with ModelRegistry(settings.mlflow_url) as registry:
        before = version_of_job(registry, use_case, digest)
    if before is None:
        return digest
    log.info("unchanged: version %s was trained on the same snapshot, by the same spec and code", before)
    return None


@task.branch(task_id=JUDGE_TASK, execution_timeout=SHORT)
def judge(verdict: Mapping[str, Any], params: Mapping[str, Any], dag_run: Any) -> str | None:
    """Which way the verdict leads: to approval, to promotion, or, rejected, nowhere."""
    found = Verdict.model_validate(verdict)
    log.info("%s", found)
    try:
        with AirflowClient(settings) as airflow:
            airflow.write_note(dag_run.dag_id, dag_run.run_id, str(found))
    except PlatformError as error:
        log.warning("the run has no note: %s", error)
    if found.decision is Decision.REJECTED:
        return None
    return APPROVE_TASK if params["require_approval"] or found.decision is Decision.UNDECIDED else PROMOTE_TASK


@task(
    task_id=PROMOTE_TASK,
    # after an approval, or straight after the verdict where none is asked for
    trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    execution_timeout=dt.timedelta(minutes=10),
)
def promote_champion(use_case: str, ti: Any, dag_run: Any) -> dict[str, Any]:
    """The promotion is on record as this run's; who approved it before is on record as well."""
    version = Verdict.model_validate(ti.xcom_pull(task_ids=TRAIN_TASK)).model_version
    act = Act(
        who=f"run {dag_run.run_id}",
        source=f"DAG {dag_run.dag_id}",
        action="promotion",
        use_case=use_case,
        subject={"version": version},
    )
    with ModelRegistry(settings.mlflow_url) as registry, AuditLog(lake).recording(act) as outcome:
        promoted = promote(registry, get_use_case(use_case), version)
        outcome.update(champion=promoted.model_version, before=promoted.previous_version)
    return promoted.model_dump(mode="json")


@task(task_id=NOTIFY_TASK, execution_timeout=SHORT)
def notify_promotion(use_case: str, ti: Any, dag_run: Any) -> bool:
    found = Verdict.model_validate(ti.xcom_pull(task_ids=TRAIN_TASK))
    return notify(
        settings,
        Notification(
            event="model_promoted",
            use_case=use_case,
            dag_id=dag_run.dag_id,
            run_id=dag_run.run_id,
            text=f"Version {found.model_version} is the champion of {use_case}.",
            url=run_url(settings, dag_run.dag_id, dag_run.run_id),
            details=found.model_dump(mode="json"),
        ),
    )


@task(task_id=REPORT_TASK, trigger_rule=TriggerRule.NONE_FAILED, execution_timeout=SHORT)
def report_result(use_case: str, ti: Any) -> dict[str, Any]:
    """What came of the run. Its job is done then, and is not done again."""
    digest, verdict = ti.xcom_pull(task_ids=COMPARE_TASK), ti.xcom_pull(task_ids=TRAIN_TASK)
    with ModelRegistry(settings.mlflow_url) as registry:
        if verdict is None:
            newest = registry.versions(use_case)[0]
            report = TrainingReport(result=TrainingOutcome.UNCHANGED, model_version=newest.version)
            return report.model_dump(mode="json")
        note_done(registry, use_case, [candidate["model_version"] for candidate in verdict["candidates"]], digest)
    found = Verdict.model_validate(verdict)
    if found.decision is Decision.REJECTED:
        outcome = TrainingOutcome.REJECTED
    elif ti.xcom_pull(task_ids=NOTIFY_TASK) is None:
        outcome = TrainingOutcome.NOT_APPROVED
    else:
        outcome = TrainingOutcome.PROMOTED
    return TrainingReport(result=outcome, model_version=found.model_version).model_dump(mode="json")


def build_dag(use_case: UseCase) -> DAG:
    dag_id = training_dag(use_case.name)
    with DAG(
        dag_id=dag_id,
        description=f"{use_case.title}: a published snapshot to a champion",
        doc_md=DOC.format(
            title=use_case.title, name=use_case.name, hours=round(APPROVAL_TIMEOUT.total_seconds() / 3600)
        ),
        schedule=[Asset(features_asset(use_case.name))],
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
            "snapshot": Param(
                None,
                type=["null", "string"],
                description="the snapshot to train on; none: the one that started the run, else the published one",
            ),
            "require_approval": Param(False, type="boolean", description="a person decides before the promotion"),
            "force": Param(False, type="boolean", description="also where nothing is new"),
        },
        on_failure_callback=failure_callback(settings, use_case.name, dag_id),
        tags=[use_case.name, "training"],
    ) as dag:
        snapshot = resolve_snapshot(use_case.name)
        compared = compare_with_registered(use_case.name, snapshot)
        train = Train(
            task_id=TRAIN_TASK,
            use_case=use_case.name,
            snapshot=f"{{{{ ti.xcom_pull(task_ids='{RESOLVE_TASK}') }}}}",
            execution_timeout=dt.timedelta(hours=2),
        )
        judged = judge(train.output)
        approve = ApprovalOperator(
            task_id=APPROVE_TASK,
            subject=f"Promote version {{{{ {VERDICT}['model_version'] }}}} of {use_case.name}?",
            body=f"{{{{ {VERDICT} | tojson(indent=2) }}}}",
            defaults=ApprovalOperator.REJECT,
            response_timeout=APPROVAL_TIMEOUT,
            # an answer in the very second the task begins to wait can get lost in Airflow: then it asks once more
            retries=3,
        )
        promoted = promote_champion(use_case.name)
        compared >> train
        judged >> [approve, promoted]
        # the report follows the last task alone: what is skipped takes what comes right after it along
        approve >> promoted >> notify_promotion(use_case.name) >> report_result(use_case.name)
    return dag


for use_case in all_use_cases():
    build_dag(use_case)
