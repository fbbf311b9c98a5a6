"""What the lab says of itself while it runs: one JSON line an event on standard error, or a readable line where that is a terminal.

Owners are bearer keys, so a log has only their short mark; secrets, texts and names never go there.
"""
from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from typing import Any, TextIO

USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
MARK = 10  # hexadecimal digits of an owner's mark


def short(owner: str) -> str:
    """A mark by which events of one owner are found together, and which opens nothing."""
    return hashlib.sha256(owner.encode()).hexdigest()[:MARK]


def configure(stream: TextIO | None = None, plain: bool | None = None) -> logging.Handler:
    """Send what the lab logs, and warnings of its libraries, to a stream; `plain` unless said otherwise where it is a terminal."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Plain() if (stream.isatty() if plain is None else plain) else Lines())
    logging.getLogger().addHandler(handler)
    logging.getLogger("lab").setLevel(logging.INFO)
    return handler


class Lines(logging.Formatter):
    """{"time", "level", "event", "from", …} on one line."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"time": _moment(record), "level": record.levelname.lower(), "event": record.getMessage(), "from": record.name, **_more(record)}
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


class Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        more = " ".join(f"{name}={value}" for name, value in _more(record).items())
        line = f"{_moment(record)[11:19]} {record.getMessage()}{' ' if more else ''}{more}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _moment(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


def _more(record: logging.LogRecord) -> dict[str, Any]:
    """What the line was given beside its words; what other libraries hide in every record begins with an underscore."""
    return {name: value for name, value in vars(record).items() if name not in USUAL and not name.startswith("_")}
