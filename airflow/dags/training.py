"""``<use_case>_training``: a published snapshot becomes candidate models, and the best of them may become champion.

One DAG per use case. Nothing that serves changes before ``promote_champion`` moves the alias.
"""

import datetime as dt
import json
import logging
from collections.abc import Mapping
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, BaseOperator, Param, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException
from docker.types import Mount

from mlops_platform.clients.airflow import AirflowClient
from mlops_platform.clients.webhook import Notification, failure_callback, notify, run_url
from mlops_platform.errors import PlatformError
from mlops_platform.lake.layout import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.verdict import VERDICT_FILE, Verdict
from mlops_platform.pipelines.names import APPROVE_TASK, PROMOTE_TASK, TRAIN_TASK, features_asset, training_dag
from mlops_platform.pipelines.training_run import lay_out, run_folder
from mlops_platform.settings import load_settings
from mlops_platform.use_case.find import all_use_cases, get_use_case
from mlops_platform.use_case.spec import UseCase

settings = load_settings()
lake = Lake(settings.lake_root)
log = logging.getLogger(__name__)

DOC = """
### {title}: training
Fits every candidate family on one snapshot, measures them on the holdout, registers them in MLflow, and judges the best
by the quality gate. A candidate that passes becomes `champion`, and the service takes it up; one that does not leaves
the champion as it is, and `judge` says which rules it failed, in its log and in the run's note.

With `require_approval` a person decides before the promotion, here under *Required Actions* or with
`mlops approve {name}`. Rejected, or unanswered for {hours} hours, it is not promoted.
"""
APPROVAL_TIMEOUT = dt.timedelta(hours=24)
VERDICT = f"ti.xcom_pull(task_ids='{TRAIN_TASK}')"


@task(retries=0, execution_timeout=dt.timedelta(minutes=5))
def resolve_snapshot(use_case: str, params: Mapping[str, Any], triggering_asset_events: Any) -> str:
    snapshots = Snapshots(lake, use_case)
    announced = [event for events in triggering_asset_events.values() for event in events]
    if params["snapshot"]:
        return snapshots.get(params["snapshot"]).snapshot
    if announced:
        latest = max(announced, key=lambda event: event.timestamp)
        return snapshots.get(latest.extra["snapshot"]).snapshot
    current = snapshots.current()
    if current is None:
        raise AirflowFailException(f"{use_case} has no snapshot yet. Remedy: run `mlops run {use_case} features`")
    return current.snapshot


class TrainingContainer(DockerOperator):
    """A run of the training image. The launcher (stack.training_launcher) sees to all but its mounts."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(
            image=settings.training_image or "",
            docker_url=settings.training_engine_url,
            mount_tmp_dir=False,
            auto_remove="force",
            do_xcom_push=False,
            **arguments,
        )


class TrainingRun(TrainingContainer):
    """Trains on one snapshot, which the container sees as SageMaker would show it. Returns the verdict."""

    template_fields = (*TrainingContainer.template_fields, "snapshot")

    def __init__(self, *, use_case: str, snapshot: str, **arguments: Any) -> None:
        super().__init__(command=["train"], **arguments)
        self.do_xcom_push = True
        self.use_case = use_case
        self.snapshot = snapshot

    def execute(self, context: Any) -> Any:
        use_case, run_id = get_use_case(self.use_case), context["run_id"]
        self.mounts = [
            Mount(
                mount.target,
                settings.training_lake_volume,
                type="volume",
                read_only=mount.read_only,
                subpath=mount.folder,
            )
            for mount in lay_out(lake, use_case, self.snapshot, run_id)
        ]
        super().execute(context)
        return json.loads((lake.root / run_folder(use_case, run_id) / VERDICT_FILE).read_text(encoding="utf-8"))


def train_candidates(use_case: str) -> BaseOperator:
    """The training run, in a container of its own where there is an image for it, else as a child process.

    Its log is streamed; its result is the verdict, the last line it prints.
    """
    snapshot, deadline = "{{ ti.xcom_pull(task_ids='resolve_snapshot') }}", dt.timedelta(hours=2)
    if settings.training_image:
        return TrainingRun(task_id=TRAIN_TASK, use_case=use_case, snapshot=snapshot, execution_timeout=deadline)
    return BashOperator(
        task_id=TRAIN_TASK,
        # Values go through the environment: what a person typed as a param is never part of the command. Only the
        # verdict is on stdout, and it is printed last, whatever libraries write to stderr when the process ends.
        bash_command=(
            'verdict="$(python -m training train --use-case "$USE_CASE" --snapshot "$SNAPSHOT" --run-id "$RUN_ID")"'
            ' && printf "%s\\n" "$verdict"'
        ),
        env={
            "USE_CASE": use_case,
            "SNAPSHOT": snapshot,
            "RUN_ID": "{{ run_id }}",
        },
        append_env=True,
        cwd=str(settings.project_root),
        output_processor=json.loads,
        execution_timeout=deadline,
    )


@task.branch(retries=0, execution_timeout=dt.timedelta(minutes=5))
def judge(verdict: Mapping[str, Any], params: Mapping[str, Any], dag_run: Any) -> str | None:
    """Which way the verdict leads: to approval, to promotion, or, rejected, nowhere."""
    found = Verdict.model_validate(verdict)
    log.info("%s", found)
    try:
        with AirflowClient(settings) as airflow:
            airflow.write_note(dag_run.dag_id, dag_run.run_id, str(found))
    except PlatformError as error:
        log.warning("the run has no note: %s", error)
    if not found.accepted:
        return None
    return APPROVE_TASK if params["require_approval"] else PROMOTE_TASK


def promote_champion(use_case: str) -> BaseOperator:
    """Moves the alias. Runs after an approval, or straight after the judgement where none is asked for."""
    version = f"{{{{ {VERDICT}['model_version'] }}}}"
    task: dict[str, Any] = {
        "task_id": PROMOTE_TASK,
        "trigger_rule": TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        "execution_timeout": dt.timedelta(minutes=10),
    }
    if settings.training_image:
        return TrainingContainer(command=["promote", "--use-case", use_case, "--version", version], **task)
    return BashOperator(
        bash_command='exec python -m training promote --use-case "$USE_CASE" --version "$VERSION"',
        env={"USE_CASE": use_case, "VERSION": version},
        append_env=True,
        cwd=str(settings.project_root),
        **task,
    )


@task(task_id="notify", retries=0, execution_timeout=dt.timedelta(minutes=5))
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
        is_paused_upon_creation=False,
        default_args={
            "owner": use_case.owner,
            "retries": 1,
            "retry_delay": dt.timedelta(seconds=15),
            "retry_exponential_backoff": 2,
            "max_retry_delay": dt.timedelta(minutes=5),
        },
        params={
            "snapshot": Param(
                None,
                type=["null", "string"],
                description="the snapshot to train on; none: the one that started the run, else the published one",
            ),
            "require_approval": Param(False, type="boolean", description="a person decides before the promotion"),
        },
        on_failure_callback=failure_callback(settings, use_case.name, dag_id),
        tags=[use_case.name, "training"],
    ) as dag:
        train = train_candidates(use_case.name)
        approve = ApprovalOperator(
            task_id=APPROVE_TASK,
            subject=f"Promote version {{{{ {VERDICT}['model_version'] }}}} of {use_case.name}?",
            body=f"{{{{ {VERDICT} | tojson(indent=2) }}}}",
            defaults=ApprovalOperator.REJECT,
            response_timeout=APPROVAL_TIMEOUT,
            # an answer in the very second the task begins to wait can get lost in Airflow: then it asks once more
            retries=3,
        )
        promote = promote_champion(use_case.name)
        judged = judge(train.output)
        resolve_snapshot(use_case.name) >> train
        judged >> [approve, promote]
        approve >> promote >> notify_promotion(use_case.name)
    return dag


for use_case in all_use_cases():
    build_dag(use_case)
