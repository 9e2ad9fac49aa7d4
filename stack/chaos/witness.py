"""Gathers what rounds leave behind, and remembers what was so before them: for the invariants to be judged by."""

from collections.abc import Iterable, Mapping, Sequence
from time import time as wall_clock

from mlops_platform.clients.prediction_service import PredictionService
from mlops_platform.errors import PlatformError
from mlops_platform.settings import PlatformSettings
from stack.chaos import evidence
from stack.chaos.invariants import missing, representatives
from stack.chaos.traffic import Answer
from stack.chaos.waiting import CALM_WITHIN, remaining, until

IDS_ASKED_FOR = 3
"""Each is computed again for every pair of snapshot and model that answered, which takes seconds."""
PUBLISHED_WITHIN = 180.0
"""Seconds until every record is in Hive's table: published every 20 s, and a minute later where that failed."""


class Witness:
    """Knows what a platform says of its answers.

    Raises:
        PlatformError: nothing is published, or who has the lake does not answer.
    """

    def __init__(self, settings: PlatformSettings, use_case: str) -> None:
        self._settings = settings
        self._use_case = use_case
        self._began = wall_clock()
        self.ids: Sequence[str] = evidence.ask(settings, evidence.ids, use_case, str(IDS_ASKED_FOR))
        self._disagreed: Sequence[str] = evidence.ask(settings, evidence.disagreements)
        self.logged: frozenset[str] = frozenset()
        """The requests of earlier rounds that were in the log after them."""

    def rows(self, answers: Sequence[Answer], killed: tuple[float, float] | None, bound: float) -> Mapping[str, int]:
        """Rows of the log by request since the first round, as soon as all are there that have to be, or the time for
        that is over."""
        rows: dict[str, int] = {}

        def all_there() -> bool:
            nonlocal rows
            try:
                rows = evidence.ask(self._settings, evidence.logged, self._use_case, f"{self._began:.3f}")
            except PlatformError:
                return False
            return self.logged <= rows.keys() and not missing(answers, rows, killed, bound)

        until(all_there, PUBLISHED_WITHIN)
        return rows

    def remember(self, answers: Iterable[Answer], rows: Mapping[str, int]) -> None:
        """These are logged from now on."""
        self.logged |= {answer.request_id for answer in answers} & rows.keys()

    def replays(self, answers: Sequence[Answer], rows: Mapping[str, int]) -> Mapping[str, object]:
        """By request what the service says of it today, or why it says nothing: one for each question."""
        service = PredictionService(self._settings)
        return {request_id: _replayed(service, request_id) for request_id in representatives(answers, rows)}

    def unfit(self, answers: Iterable[Answer]) -> Mapping[tuple[str, str], str]:
        """Pairs of snapshot and model that must not answer together, with the reason."""
        pairs = {f"{version}@{snapshot}": (snapshot, version) for snapshot, version in {one.pair for one in answers}}
        try:
            found = evidence.ask(self._settings, evidence.unfit, self._use_case, *pairs)
        except PlatformError as error:
            return dict.fromkeys(pairs.values(), f"nobody can tell if it fits: {error}")
        return {pairs[name]: why for name, why in found.items()}

    def disagreements(self) -> Sequence[str]:
        """What stores say of each other that they did not say before the first round."""

        def found() -> list[str]:
            try:
                now = evidence.ask(self._settings, evidence.disagreements)
            except PlatformError as error:
                return [str(error)]
            return [one for one in now if one not in self._disagreed]

        return remaining(found)


def _replayed(service: PredictionService, request_id: str) -> object:
    """Asked again while the service says that it cannot tell now."""
    answer: object = None

    def is_final() -> bool:
        nonlocal answer
        try:
            answer = service.replay(request_id)
        except PlatformError as error:
            answer = str(error)
            return not error.transient
        return True

    until(is_final, CALM_WITHIN)
    return answer
