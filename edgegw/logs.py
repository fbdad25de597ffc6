"""Logging set-up: lines for people or JSON for machines, on stderr; never a control code from outside.

What peers send ends up in log lines: credentials are hidden, and every character that could move a
cursor or start an escape sequence is written as its code.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from typing import Literal

import msgspec

from edgegw.redaction import plain, redact, without_cards

LINES_KEPT = 2_000
LINE_CHARACTERS_MAX = 1_000


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


class KeptLine(msgspec.Struct, frozen=True, gc=False):
    n: int  # counts the lines
    at: float  # seconds since 1970
    level: str
    logger: str
    text: str


class LogRing(logging.Handler):
    """The newest lines, for whoever looks at the running box: no secrets and no card ids, and no tracebacks.

    `on_line` is told of each, in the thread that logged it; it must only note that there is something.
    Whoever logs goes on, whatever is wrong with the line or with who listens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_line: Callable[[], object] | None = None
        self._lines: deque[KeptLine] = deque(maxlen=LINES_KEPT)
        self._numbers = count(1)

    def install(self) -> None:
        logging.getLogger().addHandler(self)

    def remove(self) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._keep(record)
        except Exception:  # noqa: BLE001 - the edge of what only watches, as in the library's own handlers
            self.handleError(record)

    def _keep(self, record: logging.LogRecord) -> None:
        text = plain(redact(without_cards(record.getMessage()[: 4 * LINE_CHARACTERS_MAX])))
        if record.exc_info is not None and record.exc_info[0] is not None:
            text += f" [{record.exc_info[0].__name__}]"
        if len(text) > LINE_CHARACTERS_MAX:
            text = f"{text[: LINE_CHARACTERS_MAX - 1]}…"
        level = record.levelname.lower()
        self._lines.append(KeptLine(next(self._numbers), record.created, level, record.name, text))
        if self.on_line is not None:
            self.on_line()

    def after(self, n: int) -> list[KeptLine]:
        """The kept lines with a higher number, oldest first."""
        with self.lock or nullcontext():
            newest = self._lines[-1].n if self._lines else 0
            return list(self._lines)[-(newest - n) :] if newest > n else []


def set_up(level: str, form: Literal["text", "json"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Libraries speak when something is wrong; what they say at lower levels holds whole frames.
    for name in ("websockets", "uvicorn", "httpx", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
