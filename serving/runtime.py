"""One worker's live state: what every use case is served from, kept up with the lake and the registry."""

import asyncio
import contextlib
import itertools
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import httpx

from mlops_platform.errors import PlatformError
from mlops_platform.lake.layout import Lake
from mlops_platform.models.routing import Routing
from mlops_platform.online_store.redis_first import RedisFirst
from mlops_platform.settings import PlatformSettings
from mlops_platform.use_case.spec import UseCase
from serving.api.keys import ApiKeys
from serving.api.overload import Overload
from serving.follow.model_copies import ModelCopies
from serving.follow.models import ModelFollower
from serving.follow.registry import CHALLENGER, CHAMPION, ModelRegistry
from serving.follow.snapshots import SnapshotFollower
from serving.log.prediction_log import PredictionLog
from serving.observe.metrics import Metrics
from serving.paths import serving_paths
from serving.predict.predictor import Predictor
from serving.served import Served

logger = logging.getLogger(__name__)

SNAPSHOT_POLL_SECONDS = 0.5
MODEL_POLL_SECONDS = 2.0
# A worker that takes requests before it has its model would fail them beside one that is ready. A registry that is down
# refuses the connection at once; this is for one that is slow.
_REGISTRY_PATIENCE_SECONDS = 20.0


class Runtime:
    """Built once per worker; ``running`` keeps it alive."""

    def __init__(self, settings: PlatformSettings, use_cases: tuple[UseCase, ...]) -> None:
        self.settings = settings
        self.paths = serving_paths(settings)
        self.use_cases = {use_case.name: use_case for use_case in use_cases}
        self.served = {name: Served(use_case) for name, use_case in self.use_cases.items()}
        self.keys = ApiKeys(settings, self.paths.api_keys)
        self.lake = Lake(settings.lake_root)
        self.registry_failure: str | None = None
        self.draining = False
        self.log = PredictionLog.of(settings)
        self.metrics = Metrics()
        # held while a snapshot that is not served is read: a file can be open only once in a process
        self.old_stores = asyncio.Lock()
        self.overload = Overload()
        self.predictor = Predictor(self.log, self.metrics)
        self._registered: dict[str, dict[str, str]] = {}
        self._registry: ModelRegistry | None = None
        self._snapshots = {
            name: SnapshotFollower(use_case, self.lake, self.paths.snapshots(name), settings.online_store_url)
            for name, use_case in self.use_cases.items()
        }
        self.copies = {
            name: ModelCopies(use_case, self.paths.models(name)) for name, use_case in self.use_cases.items()
        }
        self._models: dict[str, dict[str, ModelFollower]] = {}
        self._routing_marks: dict[str, int] = {}
        # unique over workers and restarts, and cheap: a random start, then a count
        start = f"{int(time.time()):x}{secrets.token_hex(4)}"
        self._request_ids = (f"{start}{number:x}" for number in itertools.count(1))

    def next_request_id(self) -> str:
        return next(self._request_ids)

    @property
    def registry(self) -> ModelRegistry:
        if self._registry is None:
            raise RuntimeError("the runtime is not running")
        return self._registry

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load what there is, follow what comes, write the log; stop all of it in order."""
        async with httpx.AsyncClient(timeout=10.0, trust_env=False) as client:
            self._registry = ModelRegistry(self.settings.mlflow_url, client)
            self._models = {
                name: {
                    alias: ModelFollower(use_case, alias, self._registry, self.copies[name])
                    for alias in (CHAMPION, CHALLENGER)
                }
                for name, use_case in self.use_cases.items()
            }
            self.log.start()
            await self._load_at_start()
            tasks = [
                asyncio.create_task(self.overload.watch()),
                asyncio.create_task(_repeat(self._follow_snapshots, lambda: SNAPSHOT_POLL_SECONDS)),
                asyncio.create_task(_repeat(self.follow_models, self._model_poll_seconds)),
            ]
            try:
                yield
            finally:
                self.draining = True
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self.log.stop()
                # lets go of the stores: a file can be open only once in a process
                self.served = {name: Served(use_case) for name, use_case in self.use_cases.items()}

    async def _load_at_start(self) -> None:
        await self._follow_snapshots()
        for name, follower in self._snapshots.items():
            if self.served[name].store is None and (kept := await asyncio.to_thread(follower.last_good)) is not None:
                self.served[name] = replace(self.served[name], store=kept[0], snapshot=kept[1])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REGISTRY_PATIENCE_SECONDS):
                await self.follow_models()
        for name, followers in self._models.items():
            for model in followers.values():
                if model.loaded is None and await asyncio.to_thread(model.last_good):
                    self._show_models(name)

    async def _follow_snapshots(self) -> None:
        for name, follower in self._snapshots.items():
            opened = await asyncio.to_thread(follower.poll)
            if opened is not None:
                self.served[name] = replace(self.served[name], store=opened[0], snapshot=opened[1])
                logger.info("snapshot served", extra={"use_case": name, "snapshot": opened[1].snapshot})
            elif isinstance(store := self.served[name].store, RedisFirst):
                await asyncio.to_thread(store.try_again)
            self.follow_routing(name)
        self.keys.reload()
        self.metrics.watch(self.served, self.log.queued, self.log.dropped)

    async def follow_models(self) -> None:
        """Take in what the registry says now; what it cannot say leaves everything as it is."""
        try:
            self._registered = await self.registry.aliases()
            for name, followers in self._models.items():
                versions = self._registered.get(name, {})
                for alias, follower in followers.items():
                    if await follower.follow(versions.get(alias)):
                        self._show_models(name)
            self.registry_failure = None
        except PlatformError as error:
            if self.registry_failure is None:
                logger.warning("the model registry does not answer", extra={"reason": str(error)})
            self.registry_failure = str(error)

    def _model_poll_seconds(self) -> float:
        return MODEL_POLL_SECONDS if self.registry_failure is None else MODEL_POLL_SECONDS * 2

    def _show_models(self, name: str) -> None:
        followers = self._models[name]
        self.served[name] = replace(
            self.served[name], champion=followers[CHAMPION].loaded, challenger=followers[CHALLENGER].loaded
        )

    def follow_routing(self, name: str) -> None:
        """Take in who answers, where that changed."""
        path = self.paths.routing(name)
        try:
            mark = path.stat().st_mtime_ns
            if self._routing_marks.get(name) == mark:
                return
            content = json.loads(path.read_text(encoding="utf-8"))
            routing = Routing(challenger_share=float(content["challenger_share"]), shadow=bool(content["shadow"]))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.error("routing not read", extra={"use_case": name, "reason": str(error)})
            return
        self._routing_marks[name] = mark
        self.served[name] = replace(self.served[name], routing=routing)

    def readiness(self) -> dict[str, Any]:
        """Ready: one use case at least can answer, and none that has a champion cannot."""
        now = time.time()
        details = {name: self._details(served, now) for name, served in self.served.items()}
        states = {detail["status"] for detail in details.values()}
        ready = "ready" in states and "broken" not in states and not self.draining
        return {
            "status": "draining" if self.draining else "ready" if ready else "not ready",
            "use_cases": details,
            "registry": {"reachable": self.registry_failure is None, "reason": self.registry_failure},
            "prediction_log": {
                "queued": self.log.queued,
                "dropped": self.log.dropped,
                "failure": self.log.failure,
            },
        }

    def _details(self, served: Served, now: float) -> dict[str, Any]:
        name = served.use_case.name
        followers = self._models.get(name, {})
        registered = CHAMPION in self._registered.get(name, {}) or served.champion is not None
        status = "ready" if served.lacking is None else "broken" if registered else "waiting"
        return {
            "status": status,
            "lacking": served.lacking,
            "snapshot": served.snapshot_id,
            "snapshot_created_at": served.snapshot.created_at.isoformat() if served.snapshot else None,
            "stale": served.stale(now),
            "redis_refused": served.store.refused if isinstance(served.store, RedisFirst) else None,
            "snapshot_refused": self._snapshots[name].refused,
            "model_version": served.champion.version if served.champion else None,
            "model_refused": followers[CHAMPION].refused if followers else None,
            "challenger_version": served.challenger.version if served.challenger else None,
            "challenger_refused": followers[CHALLENGER].refused if followers else None,
            "challenger_share": served.routing.challenger_share,
            "shadow": served.routing.shadow,
        }


async def _repeat(step: Callable[[], Coroutine[Any, Any, None]], seconds: Callable[[], float]) -> None:
    """Runs the step for ever; a step that fails in an unforeseen way is logged and tried again."""
    while True:
        await asyncio.sleep(seconds())
        try:
            await step()
        except Exception:
            logger.exception("following failed")
