"""A training run as a task: a child process, or a container that the launcher starts. Both leave their verdict."""

import json
import logging
import os
import sys
from abc import abstractmethod
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator

from mlops_platform.clients.training_launcher import PATIENCE, TrainingLauncher
from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.snapshots import Snapshots
from mlops_platform.models.verdict import VERDICT_FILE
from mlops_platform.pipelines.training_run import check_spec, run_key
from mlops_platform.services.environment import withheld
from mlops_platform.settings import PlatformSettings, load_settings
from mlops_platform.use_case.find import get_use_case
from operators.retries import ExitCode

log = logging.getLogger(__name__)


class TrainCandidates(BaseOperator):
    """Fits, judges and registers the candidates of a use case on a snapshot. The result is the verdict.

    Raises:
        ExitCode: the run failed.
        PlatformError: it could not be started, or was lost.
    """

    template_fields = ("snapshot",)

    def __init__(self, *, use_case: str, snapshot: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.use_case = use_case
        self.snapshot = snapshot

    def execute(self, context: Any) -> Any:
        settings, run_id = load_settings(), context["run_id"]
        self.run(settings, run_id)
        verdict = Lake(settings.lake_root).read(f"{run_key(self.use_case, run_id)}/{VERDICT_FILE}")
        return json.loads(verdict)

    @abstractmethod
    def run(self, settings: PlatformSettings, run_id: str) -> None:
        """Have the training run done; what it makes is in the lake when this returns."""


class TrainInProcess(TrainCandidates):
    """By the training entry point as a child process, on what lies in the lake."""

    _hook: SubprocessHook | None = None

    def run(self, settings: PlatformSettings, run_id: str) -> None:
        self._hook = SubprocessHook()
        # a list, so that what a person typed as a param is never part of a shell's command
        job = ["--use-case", self.use_case, "--snapshot", self.snapshot, "--run-id", run_id]
        command = [sys.executable, "-m", "training", "train", *job]
        environment = {name: value for name, value in os.environ.items() if name not in withheld("training")}
        ended = self._hook.run_command(command, env=environment, cwd=str(settings.project_root))
        if ended.exit_code != 0:
            raise ExitCode(ended.exit_code)

    def on_kill(self) -> None:
        if self._hook is not None:
            self._hook.send_sigterm()  # type: ignore[no-untyped-call]


class TrainInContainer(TrainCandidates):
    """By the launcher, in a container. The next attempt of a task that died takes up the run that is under way."""

    _run_id: str | None = None

    def run(self, settings: PlatformSettings, run_id: str) -> None:
        self._run_id = run_id
        use_case = get_use_case(self.use_case)
        check_spec(use_case, Snapshots(Lake(settings.lake_root), use_case.name).get(self.snapshot))
        with _launcher(settings) as launcher:
            launcher.start(use_case.name, self.snapshot, run_id)
            exit_code = launcher.follow(use_case.name, run_id, log.info)
            launcher.remove(use_case.name, run_id)
        if exit_code != 0:
            raise ExitCode(exit_code)

    def on_kill(self) -> None:
        if self._run_id is not None:
            # Airflow does not wait long; what is left is removed by the launcher some time
            with _launcher(load_settings(), patience=5) as launcher:
                launcher.remove(self.use_case, self._run_id)


def _launcher(settings: PlatformSettings, *, patience: float = PATIENCE) -> TrainingLauncher:
    url, token = settings.training_launcher_url, settings.training_launcher_token
    if url is None or token is None:
        raise PlatformError("MLOPS_TRAINING_LAUNCHER_URL and _TOKEN are not both set", remedy="run ./start.sh")
    return TrainingLauncher(url, token.get_secret_value(), patience=patience)
