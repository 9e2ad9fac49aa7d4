"""One worker's live state: what every use case is served from, kept up with the lake and the registry."""

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlops_platform.audit import AuditLog
from mlops_platform.lake.lake import Lake
from mlops_platform.models.registry import ModelRegistry
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.follow.snapshots import SnapshotFollower
from serving.follow.task import FollowingTask
from serving.follow.use_case import UseCaseFollower
from serving.log.prediction_log import PredictionLog
from serving.model import ServedModel
from serving.observe.metrics import Metrics
from serving.paths import serving_paths
from serving.predict.predictor import Predictor
from serving.predict.replay import Replay
from serving.served import Served

logger = logging.getLogger(__name__)

FIGURES_SECONDS = 0.5
# A worker that takes requests before it has its model would fail them beside one that is ready. A registry that is down
# refuses the connection at once; this is for one that is slow.
_PATIENCE_SECONDS = 20.0
_REGISTRY_SECONDS = 10.0
_THREADS_FOR_REQUESTS = 20
"""A few more than there are turns, for operators, who need none."""


class Runtime:
    """Built once per worker; ``running`` keeps it alive."""

    def __init__(self, settings: PlatformSettings, use_cases: tuple[UseCase, ...]) -> None:
        self.settings = settings
        self.paths = serving_paths(settings)
        self.use_cases = {use_case.name: use_case for use_case in use_cases}
        self.served = {name: Served(use_case) for name, use_case in self.use_cases.items()}
        self.followers: dict[str, UseCaseFollower] = {}
        self.lake = Lake(settings.lake_root)
        self.audit = AuditLog(self.lake)
        self.draining = False
        self.log = PredictionLog.of(settings)
        self.metrics = Metrics()
        self.predictor = Predictor(self.log, self.metrics)
        self.replay = Replay(self.served, self.lake, self._model_of)
        # unique over workers and restarts, and cheap: a random start, then a count
        start = f"{int(time.time()):x}{secrets.token_hex(4)}"
        self._request_ids = (f"{start}{number:x}" for number in itertools.count(1))

    def next_request_id(self) -> str:
        return next(self._request_ids)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load what there is, follow what comes, write the log; stop all of it in order."""
        # of requests alone: what is followed has threads of its own
        threads = ThreadPoolExecutor(_THREADS_FOR_REQUESTS, thread_name_prefix="serving")
        asyncio.get_running_loop().set_default_executor(threads)
        with ModelRegistry(self.settings.mlflow_url, _REGISTRY_SECONDS) as registry:
            self.followers = {name: self._follower(use_case, registry) for name, use_case in self.use_cases.items()}
            self.log.start()
            await self._start_from_last_good()
            following = [
                FollowingTask("figures", self._take_figures, FIGURES_SECONDS),
                *(task for follower in self.followers.values() for task in follower.tasks),
            ]
            running = [asyncio.create_task(task.run()) for task in following]
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        for task in following:
                            await task.tried.wait()
                yield
            finally:
                self.draining = True
                for one in running:
                    one.cancel()
                await asyncio.gather(*running, return_exceptions=True)
                await self.log.stop()
                for follower in self.followers.values():
                    follower.stop()
                self.followers = {}

    async def _start_from_last_good(self) -> None:
        for name, follower in self.followers.items():
            try:
                await follower.start_from_last_good()
            except Exception:
                logger.exception("last good state not taken", extra={"use_case": name})

    def readiness(self) -> dict[str, Any]:
        """Ready: one use case at least can answer, none that has a champion cannot, and answers are recorded."""
        now = time.time()
        details = {name: follower.readiness(now) for name, follower in self.followers.items()}
        states = {detail["status"] for detail in details.values()}
        ready = "ready" in states and "broken" not in states and not (self.log.died or self.draining)
        failures = [follower.registry_failure for follower in self.followers.values() if follower.registry_failure]
        return {
            "status": "draining" if self.draining else "ready" if ready else "not ready",
            "use_cases": details,
            "registry": {"reachable": not failures, "reason": failures[0] if failures else None},
            "prediction_log": {
                "queued": self.log.queued,
                "dropped": self.log.dropped,
                "failure": self.log.failure,
            },
        }

    def _follower(self, use_case: UseCase, registry: ModelRegistry) -> UseCaseFollower:
        kept = self.paths.snapshots(use_case.name)
        snapshots = SnapshotFollower(use_case, self.lake, kept, self.settings.online_store_url)
        return UseCaseFollower(use_case, self.served, snapshots, registry, self.paths)

    def _model_of(self, use_case: str, version: str, digest: str | None) -> ServedModel:
        return self.followers[use_case].model_of(version, digest)

    async def _take_figures(self) -> None:
        self.metrics.watch(self.served, self.log.queued, self.log.dropped)
