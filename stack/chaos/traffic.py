"""Predictions that are asked for at a steady rate while something is killed, and every answer to them."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from mlops_platform.clients.prediction_service import connect
from mlops_platform.settings import PlatformSettings
from stack.chaos.background import in_background

ASKED_EVERY = 0.25
"""Seconds from one request to the next, where the answers do not take longer."""
ANSWERED_WITHIN = 10.0


@dataclass(frozen=True)
class Answer:
    """One prediction that was answered with 200. ``at``: when the answer had come, in seconds since 1970."""

    at: float
    request_id: str
    entity_id: str
    prediction: int
    probability: float
    feature_date: str | None
    variant: str
    model_version: str
    snapshot: str

    @property
    def pair(self) -> tuple[str, str]:
        """Snapshot and model version."""
        return self.snapshot, self.model_version


@dataclass(frozen=True)
class Refusal:
    """A request that got no answer, or a 5xx: when it was sent, in seconds since 1970, and what came of it."""

    sent: float
    what: str


@dataclass
class Traffic:
    """What came of all requests so far. Written by one thread; each list only grows.

    ``wrong`` is what no client should ever be told: a 4xx for an id that the snapshot has, or a 200 that is no
    prediction for the id that was asked for.
    """

    answers: list[Answer] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def answered_since(self, when: float) -> bool:
        """Whether an answer has come after this moment."""
        last = self.answers[-1:]
        return bool(last) and last[0].at > when

    def ask(self, client: httpx.Client, use_case: str, entity_id: str) -> None:
        """Ask for one prediction and note what comes."""
        sent = time.time()
        path = f"/v1/{use_case}/predict/{quote(entity_id, safe='')}"
        try:
            answer = client.get(path)
        except httpx.HTTPError as error:
            self.refusals.append(Refusal(sent, repr(error)))
            return
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            self.refusals.append(Refusal(sent, f"{answer.status_code} {answer.text}"))
            return
        found = _prediction(answer, entity_id) if answer.status_code == httpx.codes.OK else None
        if found is None:
            self.wrong.append(f"GET {path} was answered {answer.status_code} {answer.text}")
        else:
            self.answers.append(found)


def _prediction(answer: httpx.Response, entity_id: str) -> Answer | None:
    try:
        content: dict[str, Any] = answer.json()
        found = Answer(
            at=time.time(),
            request_id=content["request_id"],
            entity_id=content["id"],
            prediction=content["prediction"],
            probability=content["probability"],
            feature_date=content["feature_date"],
            variant=content["variant"],
            model_version=content["model_version"],
            snapshot=content["snapshot"],
        )
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.entity_id == entity_id else None


@contextlib.contextmanager
def steady_traffic(settings: PlatformSettings, use_case: str, ids: Sequence[str]) -> Iterator[Traffic]:
    """While this lasts, predictions for these ids are asked for, one after another.

    Raises:
        Exception: at the end, where asking itself failed: then the round proves nothing.
    """
    traffic, over = Traffic(), threading.Event()

    def ask_on() -> None:
        with connect(settings, timeout=ANSWERED_WITHIN) as client:
            for entity_id in itertools.cycle(ids):
                traffic.ask(client, use_case, entity_id)
                if over.wait(ASKED_EVERY):
                    return

    asking = in_background(ask_on)
    try:
        yield traffic
    finally:
        over.set()
        asking.result()
