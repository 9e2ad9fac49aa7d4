"""Logs as one JSON object per line on standard error; whatever a record carries as ``extra`` is a member."""

import datetime as dt
import logging
import sys

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _STANDARD},
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(content, default=str).decode()


def configure(level: int = logging.INFO) -> None:
    """Send every logger's records there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpx", "pyhive"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # it logs what it also raises
    logging.getLogger("thrift").setLevel(logging.CRITICAL)
