"""The Hive adapter: the same rows asked of ``features.<use_case>_latest`` itself, through PyHive.

A lookup takes a quarter of a second and more; it is there to compare with, and to answer without an online store.
"""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pyhive import hive
from pyhive.exc import Error as PyHiveError
from thrift.Thrift import TException
from thrift.transport.TSocket import TSocket
from thrift_sasl import TSaslClientTransport  # type: ignore[import-untyped]

from mlops_platform.errors import PlatformError
from mlops_platform.lake.tables import latest_view
from mlops_platform.online_store.protocol import FeatureRow
from mlops_platform.use_case.ids import parse_id
from mlops_platform.use_case.spec import UseCase

_TIMEOUT_MS = 30_000


class HiveUnavailable(PlatformError):
    """HiveServer2 does not answer, or the use case has no tables yet."""

    transient = True


class HiveStore:
    """Reads the published snapshot of a use case. Safe to use from several threads: each call has its own session.

    Raises:
        HiveUnavailable: from every method, when HiveServer2 does not answer the query.
    """

    def __init__(self, host: str, port: int, use_case: UseCase) -> None:
        self._host = host
        self._port = port
        self._use_case = use_case

    @property
    def snapshot(self) -> str:
        found = self._query(f"SELECT snapshot FROM {latest_view(self._use_case)} LIMIT 1", {})  # noqa: S608
        if not found:
            raise HiveUnavailable(f"{latest_view(self._use_case)} is empty", remedy="run the features DAG")
        return str(found[0][0])

    def get(self, entity_id: str) -> FeatureRow | None:
        return self.get_many([entity_id])[0]

    def get_many(self, entity_ids: Sequence[str]) -> list[FeatureRow | None]:
        found = self._rows(entity_ids)
        return [found[entity_id][0] if entity_id in found else None for entity_id in entity_ids]

    def get_with_snapshot(self, entity_id: str) -> tuple[FeatureRow, str] | None:
        """The row and the snapshot that it belongs to, from one query."""
        return self._rows([entity_id]).get(entity_id)

    def close(self) -> None:
        """Nothing is held between calls."""

    def _rows(self, entity_ids: Sequence[str]) -> dict[str, tuple[FeatureRow, str]]:
        parsed = (parse_id(self._use_case, entity_id) for entity_id in dict.fromkeys(entity_ids))
        keys = [key for key in parsed if key is not None]
        if not keys:
            return {}
        spec = self._use_case
        names = [spec.entity_key, *([spec.event_time] if spec.event_time else []), *spec.feature_names, "snapshot"]
        columns = ", ".join(f"CAST(`{name}` AS DATE)" if name == spec.event_time else f"`{name}`" for name in names)
        # names come from the spec, which allows identifiers only; values are bound
        query = f"SELECT {columns} FROM {latest_view(spec)} WHERE `{spec.entity_key}` IN %(keys)s"  # noqa: S608
        rows = (dict(zip(names, row, strict=True)) for row in self._query(query, {"keys": keys}))
        return {str(row[spec.entity_key]): (self._feature_row(row), str(row["snapshot"])) for row in rows}

    def _feature_row(self, row: dict[str, Any]) -> FeatureRow:
        day = None if self._use_case.event_time is None else row[self._use_case.event_time]
        return FeatureRow(
            entity_id=str(row[self._use_case.entity_key]),
            feature_date=dt.date.fromisoformat(day) if isinstance(day, str) else day,
            features={name: row[name] for name in self._use_case.feature_names},
        )

    def _query(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        return run_query(self._host, self._port, query, parameters)


def run_query(host: str, port: int, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of one statement, in a session of its own; none for a statement that gives none.

    Raises:
        HiveUnavailable: HiveServer2 does not answer, or refuses the statement.
    """
    try:
        with _connection(host, port) as connection:
            cursor = connection.cursor()
            cursor.execute(query, parameters)
            return [] if cursor.description is None else list(cursor.fetchall())
    except (PyHiveError, TException, OSError) as error:
        raise HiveUnavailable(
            f"HiveServer2 at {host}:{port} did not answer ({_reason(error)})",
            remedy="see that HiveServer2 runs and the features DAG has published: mlops status",
        ) from None


def _reason(error: Exception) -> str:
    """The error's name, and Spark's for it: the rest of a message may repeat the values that were asked for."""
    found = re.search(r"\[([A-Z_][A-Z_.]+)\]", str(error))
    return type(error).__name__ + (f": {found.group(1)}" if found else "")


@contextlib.contextmanager
def _connection(host: str, port: int) -> Iterator[hive.Connection]:
    # PyHive's own transport waits for ever
    socket = TSocket(host, port)
    socket.setTimeout(_TIMEOUT_MS)

    def sasl() -> Any:
        return hive.get_installed_sasl(host=host, sasl_auth="PLAIN", username="mlops", password="mlops")  # noqa: S106

    transport = TSaslClientTransport(sasl, "PLAIN", socket)
    connection = hive.connect(thrift_transport=transport)
    try:
        yield connection
        # Not where something failed: after a timeout the next answer to come is the late one. Spark's server now and
        # then fails to close a session, for want of a class of Hive's that it leaves out; by then the session is gone.
        with contextlib.suppress(PyHiveError, TException):
            connection.close()
    finally:
        transport.close()
