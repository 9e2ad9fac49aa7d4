"""Who did what to whatever answers: a record of each act, in the lake, kept for ever.

An act has two objects, each one line of JSON that is written once and never changed::

    audit/<day>/<time>-<id>/begun.json     who does what to what, from where; before it is done
    audit/<day>/<time>-<id>/ended.json     how it ended

So an act whose process was killed half-way is on record too, as one of which nobody knows how it ended. Nothing secret
is recorded: the name of a key, never the key.
"""

import contextlib
import datetime as dt
import getpass
import logging
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlops_platform.errors import PlatformError
from mlops_platform.lake.lake import Lake
from mlops_platform.lake.layout import AUDIT

_BEGUN, _ENDED = "begun.json", "ended.json"

Result = Literal["done", "refused", "failed"]

logger = logging.getLogger(__name__)


class NotRecorded(PlatformError):
    """An act cannot be recorded, so it was not done."""

    transient = True


class Act(BaseModel):
    """What somebody is about to do.

    Args:
        who: the name of the key that was shown, or the user of this machine.
        on_behalf_of: whom the holder of the key says to act for.
        source: where it comes from.
        action: what is done, ``rollback`` or ``key created``.
        subject: to what: a version, a request, a key's name.
        request_id: of the request that asked for it.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=lambda: uuid.uuid4().hex)
    at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))
    who: str
    on_behalf_of: str | None = None
    source: str
    action: str
    use_case: str | None = None
    subject: dict[str, Any] = {}
    request_id: str | None = None

    @property
    def key(self) -> str:
        """The prefix of its objects, which sorts by time."""
        return f"{AUDIT}/{self.at:%Y-%m-%d}/{self.at:%H%M%S.%f}-{self.id[:12]}"


class End(BaseModel):
    """How an act ended: what came of it, or why nothing did."""

    model_config = ConfigDict(frozen=True)

    at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))
    result: Result
    outcome: dict[str, Any] = {}
    reason: str | None = None


class Entry(Act):
    """An act as the log has it. ``result`` is ``unknown`` while it goes on, and where its process was killed."""

    result: Result | Literal["unknown"] = "unknown"
    outcome: dict[str, Any] = {}
    reason: str | None = None


class AuditLog:
    """The acts of one installation. Safe to use from several threads and processes."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def begin(self, act: Act) -> None:
        """Record what is about to be done; durable when this returns.

        Raises:
            NotRecorded: it cannot be; then it must not be done.
        """
        try:
            self._lake.write_once(f"{act.key}/{_BEGUN}", _line(act))
        except OSError as error:
            raise NotRecorded(
                f"the audit log cannot be written ({error.strerror}), so nothing was done",
                remedy="see that the lake's disk has room",
            ) from None

    def end(self, act: Act, end: End) -> None:
        """Record how it ended. That it cannot be is no reason to call what was done undone: it is logged."""
        try:
            self._lake.write_once(f"{act.key}/{_ENDED}", _line(end))
        except (OSError, PlatformError):
            logger.exception("audit log: the end of an act not recorded", extra={"act": act.key, "result": end.result})

    @contextlib.contextmanager
    def recording(self, act: Act) -> Iterator[dict[str, Any]]:
        """Record what is done within; what is put into the dictionary is its outcome.

        Raises:
            NotRecorded: nothing was done.
        """
        self.begin(act)
        outcome: dict[str, Any] = {}
        try:
            yield outcome
        except Exception as error:
            self.end(act, ended_by(error))
            raise
        self.end(act, End(result="done", outcome=outcome))

    def entries(self, since: dt.datetime | None = None) -> list[Entry]:
        """The acts since then, in the order in which they began. A record that cannot be read is left out, and told."""
        found = []
        for day in self._lake.folders(AUDIT):
            if since is None or day >= f"{since.astimezone(dt.UTC):%Y-%m-%d}":
                keys = (f"{AUDIT}/{day}/{name}" for name in self._lake.folders(f"{AUDIT}/{day}"))
                found += [entry for key in keys if (entry := self._entry(key)) is not None]
        return [entry for entry in found if since is None or entry.at >= since]

    def _entry(self, key: str) -> Entry | None:
        try:
            act = Act.model_validate_json(self._lake.read(f"{key}/{_BEGUN}"))
            ended = self._lake.read_if_there(f"{key}/{_ENDED}")
            end = {} if ended is None else End.model_validate_json(ended).model_dump(exclude={"at"})
        except (PlatformError, ValidationError) as error:
            logger.warning("audit log: a record cannot be read", extra={"act": key, "reason": str(error)})
            return None
        return Entry(**{**act.model_dump(), **end})


def ended_by(error: Exception) -> End:
    """How an act ended that raised this: refused in our own words, or failed, of which only the kind is told."""
    if isinstance(error, PlatformError):
        return End(result="refused", reason=error.what)
    return End(result="failed", reason=type(error).__name__)


def this_user() -> str:
    """Who runs this process, by the name that the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have none
        return f"user {os.getuid()}"


def act_of_the_command_line(action: str, use_case: str | None = None, **subject: Any) -> Act:
    """An act of whoever calls ``mlops``."""
    source = f"command line on {socket.gethostname()}"
    return Act(who=this_user(), source=source, action=action, use_case=use_case, subject=subject)


def _line(record: BaseModel) -> bytes:
    return record.model_dump_json(exclude_none=True).encode() + b"\n"
