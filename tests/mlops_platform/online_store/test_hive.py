"""Without HiveServer2; the contract is held against the platform's own in ``tests/e2e``."""

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from TCLIService import TCLIService, ttypes
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from mlops_platform.online_store import hive
from mlops_platform.online_store.hive import HiveStore, HiveUnavailable, run_query
from mlops_platform.use_case.spec import UseCase

WELL = ttypes.TStatus(ttypes.TStatusCode.SUCCESS_STATUS)
COMPLETE = b"\x05" + bytes(4)
HANDLE = ttypes.THandleIdentifier(guid=b"\x8f" * 16, secret=b"\x8f" * 16)  # as most are, no text


def test_hive_that_is_down_says_so(credit_risk: UseCase) -> None:
    with pytest.raises(HiveUnavailable, match=r"HiveServer2 at 127\.0\.0\.1:1 did not answer"):
        HiveStore("127.0.0.1", 1, credit_risk).get("5008804")


class Willing:
    """Answers whatever a client asks."""

    def OpenSession(self, _request: object) -> object:
        version = ttypes.TProtocolVersion.HIVE_CLI_SERVICE_PROTOCOL_V6
        return ttypes.TOpenSessionResp(WELL, version, ttypes.TSessionHandle(HANDLE), {})

    def ExecuteStatement(self, _request: object) -> object:
        kind = ttypes.TOperationType.EXECUTE_STATEMENT
        return ttypes.TExecuteStatementResp(WELL, ttypes.TOperationHandle(HANDLE, kind, hasResultSet=False))

    def CloseOperation(self, _request: object) -> object:
        return ttypes.TCloseOperationResp(WELL)


@pytest.fixture
def slow_server() -> Iterator[int]:
    """The port of a HiveServer2 for one client, which answers a SELECT when it is asked for something else."""
    processor = TCLIService.Processor(Willing())

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        connection.settimeout(10)
        with connection, connection.makefile("rb") as sent:
            for _ in range(2):  # SASL's mechanism and the password
                sent.read(*struct.unpack(">xI", sent.read(5)))
            connection.sendall(COMPLETE)
            while header := sent.read(4):
                request, answer = sent.read(*struct.unpack(">I", header)), TMemoryBuffer()
                if b"SELECT" in request:
                    sent.read(1)
                processor.process(TBinaryProtocol(TMemoryBuffer(request)), TBinaryProtocol(answer))
                connection.sendall(struct.pack(">I", len(answer.getvalue())) + answer.getvalue())

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as threads:
        serving = threads.submit(serve, listening)
        yield listening.getsockname()[1]
        with suppress(OSError, struct.error):  # the client has left
            serving.result()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(
    slow_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hive, "_TIMEOUT_MS", 300)
    with pytest.raises(HiveUnavailable, match=r"did not answer \(TTransportException\)"):
        run_query("127.0.0.1", slow_server, "SELECT 1", {})
