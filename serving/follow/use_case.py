"""Keeps what one use case is served from up with the lake, the registry and the routing.

Its followers find what is newest, each in its own time. What of that fits together is noted and then served, in one
assignment: a failure before that leaves what is served as it is, and the reason to be seen.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from mlops_platform.errors import ModelError
from mlops_platform.files import Watched
from mlops_platform.models.manifest import fits
from mlops_platform.models.promotion import promote, roll_back, rollback_target
from mlops_platform.models.registry import CHALLENGER, CHAMPION, ModelRegistry, ModelVersion, RegistryDown
from mlops_platform.models.routing import Routing
from mlops_platform.online_store.redis_first import RedisFirst
from mlops_platform.use_case.spec import UseCase
from serving.follow.last_good import LastGoodFile
from serving.follow.model_copies import ModelCopies
from serving.follow.models import ModelFollower
from serving.follow.named_models import NamedModels
from serving.follow.pairing import OpenSnapshot, Pair, model_fits, next_pair
from serving.follow.snapshots import SnapshotFollower
from serving.follow.task import FollowingTask
from serving.model import Registration, ServedModel
from serving.paths import ServingPaths
from serving.served import Served

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

LAKE_POLL_SECONDS = 0.5
ROUTING_POLL_SECONDS = 0.5
REGISTRY_POLL_SECONDS = 2.0

_STEPS_AT_ONCE = 4
"""Of snapshots, models and routing, and for a caller who names a model."""

_MISFIT = "its features are defined or computed otherwise than those of what it would be served with"


class NoEarlierChampion(ModelError):
    """There is no champion before the present one to go back to."""


@dataclass(frozen=True)
class RolledBack:
    """The version that is the champion now, and the one that was (None for none)."""

    champion: str
    before: str | None


class UseCaseFollower:
    """Used from the event loop; what takes time is done in threads.

    Args:
        board: what is served, by use case; this one's entry is replaced here and nowhere else.
    """

    def __init__(
        self,
        use_case: UseCase,
        board: MutableMapping[str, Served],
        snapshots: SnapshotFollower,
        registry: ModelRegistry,
        paths: ServingPaths,
    ) -> None:
        name = use_case.name
        self._use_case = use_case
        self._board = board
        self._snapshots = snapshots
        self._registry = registry
        self._copies = ModelCopies(use_case, paths.models(name))
        self._champion = ModelFollower(use_case, CHAMPION, registry, self._copies)
        self._challenger = ModelFollower(use_case, CHALLENGER, registry, self._copies)
        self._named = NamedModels(use_case, registry, self._copies)
        self._finding_named = asyncio.Lock()
        self._last_good = LastGoodFile(paths.last_good(name), paths.models(name), paths.snapshots(name))
        self._routing = Watched(paths.routing(name))
        self._routing_refused: str | None = None
        self._waiting: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self.registry_failure: str | None = None
        # what the registry said is applied before anybody changes or asks it again
        self._asking_registry = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._reading_routing = asyncio.Lock()  # what was read last is applied last
        # no request waits in them, however many there are, and none that waits keeps them from following
        self._threads = ThreadPoolExecutor(_STEPS_AT_ONCE, thread_name_prefix=f"following-{name}")
        self.tasks = [
            FollowingTask(f"{name} snapshots", self.follow_snapshots, LAKE_POLL_SECONDS),
            FollowingTask(f"{name} models", self.follow_models, REGISTRY_POLL_SECONDS),
            FollowingTask(f"{name} routing", self.follow_routing, ROUTING_POLL_SECONDS),
        ]

    async def start_from_last_good(self) -> None:
        """Serve what was served last, as far as it is still fit, until something newer is known."""
        await self._in_thread(self._load_last_good)
        await self._serve_what_fits()

    def stop(self) -> None:
        """Serve nothing any more; its tasks have ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._snapshots.let_go()
        self._board[self._use_case.name] = Served(self._use_case)

    async def follow_snapshots(self) -> None:
        """Take in what the lake says now."""
        await self._in_thread(self._snapshots.poll)
        await self._serve_what_fits()
        served = self._served
        if isinstance(served.store, RedisFirst):
            await self._in_thread(served.store.try_again)
        if served.snapshot == self._snapshots.published and served.checked_at != self._snapshots.checked_at:
            self._replace(checked_at=self._snapshots.checked_at)

    async def follow_models(self) -> None:
        """Take in what the registry says now; what it cannot say leaves everything as it is."""
        async with self._asking_registry:
            try:
                await self._in_thread(self._ask_registry)
            except RegistryDown as error:
                if self.registry_failure is None:
                    logger.warning("the model registry does not answer", extra={"reason": str(error)})
                self.registry_failure = str(error)
            else:
                self.registry_failure = None
        await self._serve_what_fits()

    async def follow_routing(self) -> None:
        """Take in who answers, where that changed."""
        async with self._reading_routing:
            content = await self._in_thread(self._routing.changed)
            if content is None:
                return
            try:
                self._replace(routing=Routing.model_validate_json(content) if content else Routing())
            except ValidationError as error:
                self._routing_refused = f"the routing is malformed, the one before stays: {error.errors()[0]['msg']}"
                logger.error("routing not read", extra={"use_case": self._use_case.name, "reason": str(error)})
            else:
                self._routing_refused = None

    async def roll_back(self, version: str | None) -> RolledBack:
        """Make this version the champion; without one, the champion before the last promotion, once.

        Raises:
            NoEarlierChampion: no version was named, and there was none before.
            ModelError: it was rejected, or cannot be served; unless the error says otherwise, nothing was changed.
            RegistryDown: the registry did not answer.
            OSError: there is no room for it; nothing was changed.
        """
        async with self._asking_registry:
            before = self._served.champion
            model = await self._in_thread(partial(self._make_champion, version))
            self._champion.take(model)
        await self._serve_what_fits()
        if (waits := self._waiting.get(CHAMPION)) is not None:
            raise ModelError(
                f"it is the champion now and not served yet: {waits}", remedy="see that the service's disk has room"
            )
        return RolledBack(model.version, before.version if before else None)

    async def named(self, name: str) -> Served:
        """What is served where one model answers alone: the version of this number or, of a family, the champion, the
        challenger or the newest of it.

        Raises:
            UnknownModel: there is none.
            ModelError: it is not fit to be served.
            RegistryDown: it is not at hand, and the registry did not answer.
            OSError: there is no room for it.
        """
        served = replace(self._served, routing=Routing())
        for model in (served.champion, served.challenger):
            if model is not None and name in {model.version, model.manifest.family}:
                return served if model is served.champion else replace(served, named=model)
        model = self._named.at_hand(name)
        if model is None:
            async with self._finding_named:
                model = await self._in_thread(partial(self._named.find, name))
        self._require_fit(model)
        return replace(served, named=model)

    def model_of(self, version: str, digest: str | None) -> ServedModel:
        """A model as it is loaded, kept or registered; takes time.

        Args:
            digest: of its manifest: a registry that was reset gives a version's number again. None takes any model of
                that number.

        Raises:
            PlatformError: it is to be had no more.
        """

        def is_meant(found: Registration) -> bool:
            return found.version == version if digest is None else found.manifest_sha256 == digest

        served = self._served
        for loaded in (served.champion, served.challenger):
            if loaded is not None and is_meant(loaded.registration):
                return loaded
        for kept in filter(is_meant, reversed(self._last_good.read().models)):
            with contextlib.suppress(ModelError):
                return self._copies.load(kept)
        return self._copies.fetch(self._registered(version, digest), self._registry)

    def readiness(self, now: float) -> dict[str, Any]:
        """What is served, and all that is not and why."""
        served = self._served
        registered = CHAMPION in self._aliases or served.champion is not None or self._champion.refused is not None
        failures = {task.what: task.failure for task in self.tasks if task.failure is not None}
        return {
            "status": "ready" if served.lacking is None else "broken" if registered else "waiting",
            "lacking": served.lacking,
            "snapshot": served.snapshot_id,
            "snapshot_created_at": served.snapshot.created_at.isoformat() if served.snapshot else None,
            "stale": served.stale(now),
            "redis_refused": served.store.refused if isinstance(served.store, RedisFirst) else None,
            "snapshot_refused": self._snapshots.refused or self._waiting.get("snapshot"),
            "model_version": served.champion.version if served.champion else None,
            "model_not_compiled": served.champion.manifest.not_compiled if served.champion else None,
            "model_refused": self._champion.refused or self._waiting.get(CHAMPION),
            "challenger_version": served.challenger.version if served.challenger else None,
            "challenger_refused": self._challenger.refused or self._waiting.get(CHALLENGER),
            "challenger_share": served.routing.challenger_share,
            "shadow": served.routing.shadow,
            "routing_refused": self._routing_refused,
            "following_failed": failures,
        }

    @property
    def _served(self) -> Served:
        return self._board[self._use_case.name]

    def _replace(self, **changes: Any) -> None:
        self._board[self._use_case.name] = replace(self._served, **changes)

    async def _in_thread(self, step: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, step)

    def _ask_registry(self) -> None:
        """Have each alias followed, also where one before it gets no answer.

        Raises:
            RegistryDown: the registry did not answer for one of them.
        """
        self._aliases = self._registry.aliases_of(self._use_case.name)
        down: RegistryDown | None = None
        for alias, follower in ((CHAMPION, self._champion), (CHALLENGER, self._challenger)):
            try:
                follower.follow(self._aliases.get(alias))
            except RegistryDown as error:
                down = error
        if down is not None:
            raise down

    def _load_last_good(self) -> None:
        last = self._last_good.read()
        if last.snapshot is not None:
            self._snapshots.open_kept(last.snapshot)
        if last.champion is not None:
            self._champion.load_kept(last.champion)
        if last.challenger is not None:
            self._challenger.load_kept(last.challenger)

    async def _serve_what_fits(self) -> None:
        """Serve the newest that fit each other, once they are noted."""
        async with self._replacing:
            served = self._served
            snapshot = None
            if served.snapshot is not None and served.store is not None:
                snapshot = OpenSnapshot(served.snapshot, served.store)
            now = Pair(snapshot, served.champion)
            snapshot, champion = next_pair(now, Pair(self._snapshots.newest, self._champion.newest))
            newest_challenger = self._challenger.newest
            challenger = newest_challenger if model_fits(newest_challenger, snapshot) else None
            changes: dict[str, Any] = {
                "snapshot": snapshot and snapshot.manifest,
                "store": snapshot and snapshot.store,
                "champion": champion,
                "challenger": challenger,
            }
            if any(getattr(served, name) is not value for name, value in changes.items()):
                try:
                    await self._in_thread(partial(self._note, snapshot, champion, challenger))
                except OSError as error:
                    self._see_what_waits(f"it cannot be noted that it is served: {error}")
                    return
                self._replace(**changes)
                logger.info("served", extra={"use_case": self._use_case.name, **self._names()})
            self._see_what_waits(_MISFIT)

    def _note(
        self, snapshot: OpenSnapshot | None, champion: ServedModel | None, challenger: ServedModel | None
    ) -> None:
        last = self._last_good.note(
            snapshot.manifest if snapshot else None,
            champion.registration if champion else None,
            challenger.registration if challenger else None,
        )
        self._copies.keep_only(last.models)
        self._snapshots.keep_only(last.snapshot)

    def _see_what_waits(self, reason: str) -> None:
        """Note the reason for those of the newest that are not served."""
        served, snapshot = self._served, self._snapshots.newest
        models = (
            (CHAMPION, self._champion.newest, served.champion),
            (CHALLENGER, self._challenger.newest, served.challenger),
        )
        waiting = {
            alias: f"version {newest.version} waits: {reason}"
            for alias, newest, answering in models
            if newest is not None and newest is not answering
        }
        if snapshot is not None and snapshot.manifest is not served.snapshot:
            waiting["snapshot"] = f"snapshot {snapshot.manifest.snapshot} waits: {reason}"
        if waiting and waiting != self._waiting:
            logger.error("what is newer is not served", extra={"use_case": self._use_case.name, **waiting})
        self._waiting = waiting

    def _names(self) -> dict[str, str | None]:
        served = self._served
        return {
            "snapshot": served.snapshot_id,
            "champion": served.champion.version if served.champion else None,
            "challenger": served.challenger.version if served.challenger else None,
        }

    def _make_champion(self, version: str | None) -> ServedModel:
        """Move the alias, once the version is known to be served then."""
        name = self._use_case.name
        if version is None:
            earlier = rollback_target(self._registry, name) or self._noted_champion()
            model = self._servable(earlier)
            roll_back(self._registry, self._use_case, earlier)
        else:
            model = self._servable(self._registry.version(name, version))
            promote(self._registry, self._use_case, version)
        return model

    def _registered(self, version: str, digest: str | None) -> ModelVersion:
        name = self._use_case.name
        if digest is None:
            return self._registry.version(name, version)
        found = self._registry.with_digest(name, digest)
        if found is None:
            raise ModelError(
                f"the model that was version {version} of {name} (manifest {digest[:12]}…) is not registered any more",
                remedy="register it again; its number does not matter",
            )
        return found

    def _servable(self, registered: ModelVersion) -> ServedModel:
        model = self._copies.fetch(registered, self._registry)
        self._require_fit(model)
        return model

    def _require_fit(self, model: ServedModel) -> None:
        snapshot = self._served.snapshot
        if snapshot is not None and not fits(model.manifest, snapshot):
            raise ModelError(
                f"it was trained on features that were defined or computed otherwise than those of snapshot "
                f"{snapshot.snapshot}, which is served",
                remedy=f"go back to a snapshot that it fits first: mlops snapshots rollback {self._use_case.name}",
            )

    def _noted_champion(self) -> ModelVersion:
        """The champion that was served before the present one: an alias that was moved by hand has no tags to tell."""
        name = self._use_case.name
        known = self._last_good.read().champions
        if len(known) < 2:  # noqa: PLR2004
            raise NoEarlierChampion(f"{name} had no champion before the present one", remedy="name a version to go to")
        registered = self._registry.version(name, known[-2].version)
        if registered.manifest_sha256 != known[-2].manifest_sha256:
            raise ModelError(
                f"version {registered.version} is another model than the one that was champion before",
                remedy=f"name a version; see which there are with `mlops models list {name}`",
            )
        return registered
