"""Lines of the log on the topic `log`, for who asked for them.

Rules of this file: never a line about publishing itself, or each would make the next; no secrets and no
card ids; a line from another thread goes through the loop; in a flood lines are dropped, here and by the
publisher.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from edgegw.mqtt.message import Message
from edgegw.mqtt.payloads import LogLine
from edgegw.mqtt.topics import BY_NAME, Tree
from edgegw.redaction import plain, redact, without_cards

ROOT = "edgegw"
OUR_OWN = "edgegw.mqtt"
TEXT_MAX = 1000
_LEVELS = {"warning": logging.WARNING, "info": logging.INFO}


class LogLines(logging.Handler):
    def __init__(
        self, level: Literal["warning", "info"], tree: Tree, send: Callable[[Message], object]
    ) -> None:
        super().__init__(_LEVELS[level])
        self._topic = tree.topic("log")
        self._send = send
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        logging.getLogger(ROOT).addHandler(self)

    def stop(self) -> None:
        logging.getLogger(ROOT).removeHandler(self)
        self._loop = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._loop is None or record.name.startswith(OUR_OWN):
            return
        text = plain(redact(without_cards(record.getMessage())))[:TEXT_MAX]
        line = LogLine(level=record.levelname.lower(), logger=record.name, text=text)
        channel = BY_NAME["log"]
        message = Message(
            topic=self._topic,
            body=msgspec.json.encode(line),
            retain=channel.retain,
            qos=channel.qos,
            expiry_s=channel.expiry_s,
        )
        self._loop.call_soon_threadsafe(self._send, message)
