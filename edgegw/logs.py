"""Logging set-up: lines for people or JSON for machines, on stderr; never a control code from outside.

What peers send ends up in log lines: credentials are hidden, and every character that could move a
cursor or start an escape sequence is written as its code.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

from edgegw.redaction import plain, redact


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = plain(redact(record.getMessage()))
        line = f"{_stamp(record)} {record.levelname.lower():7} {record.name}: {text}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "ts": _stamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": plain(redact(record.getMessage())),
        }
        if record.exc_info is not None:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _stamp(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def set_up(level: str, form: Literal["text", "json"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries speak when something is wrong; what they say at lower levels holds whole frames.
    for name in ("websockets", "uvicorn", "httpx", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
