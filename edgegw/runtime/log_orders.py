"""Diagnostics that somebody on site asks of a charger: ordered, and what the charger says of them.

The file itself is the upload store's business. What is known here lives as long as the process: a charger
that was asked before a restart has to be asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol

import msgspec

from edgegw.core.files import FirmwareNews, LogOrdered, UploadNews
from edgegw.runtime import clock
from edgegw.runtime.rollouts import REQUEST_ID_FIRST, REQUEST_IDS, SessionSeen, request_id

log = logging.getLogger("edgegw.logs_of_chargers")

KNOWN_MAX = 200  # of all chargers
FIRST_WORD_S = 0.5  # a session's own no comes behind what it is storing; a charger's answer takes its time
LOG_REQUEST_ID_FIRST = REQUEST_ID_FIRST + REQUEST_IDS  # behind those of rollouts, for the same reasons


class UploadPlaces(Protocol):
    async def place(self, identity: str, order: str, kind: str) -> str:
        """A place for one upload that stays on site, durable; the address that this charger can upload to.

        Raises EdgegwError: no protocol fits, or there is no room.
        """


class LogOrder(msgspec.Struct, kw_only=True):
    """Mutable: what the charger said last."""

    order: str
    charger: str
    kind: str
    at: float
    status: str = ""
    why: str = ""
    ended: bool = False
    heard: asyncio.Event = msgspec.field(default_factory=asyncio.Event)  # something came

    @property
    def failed(self) -> bool:
        return self.ended and self.status != "Uploaded"


class LogOrders:
    def __init__(self, sessions: Mapping[str, SessionSeen], places: UploadPlaces) -> None:
        self.known: OrderedDict[str, LogOrder] = OrderedDict()
        self._sessions = sessions
        self._places = places

    async def ask(self, identity: str, kind: str) -> LogOrder:
        """Raises KeyError for a charger that was never here, EdgegwError when there is no place for it.

        Whether the charger may be asked now is for its session to say: `LogOrder.status` is "Refused" then.
        An order of the site before that is not over ends with "Replaced".
        """
        session = self._sessions[identity]
        asked = LogOrder(
            order=f"log-{secrets.token_hex(6)}", charger=identity, kind=kind, at=clock.now().wall
        )
        self.known[asked.order] = asked
        try:
            url = await self._places.place(identity, asked.order, kind)
        except BaseException:
            del self.known[asked.order]
            raise
        if len(self.known) > KNOWN_MAX:
            self.known.popitem(last=False)
        number = request_id(asked.order, LOG_REQUEST_ID_FIRST)
        session.handle(LogOrdered(order=asked.order, request_id=number, url=url, kind=kind))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asked.heard.wait(), FIRST_WORD_S)
        return asked

    def on_news(self, identity: str, news: FirmwareNews | UploadNews) -> None:
        """A listener of the gateway."""
        known = self.known.get(news.order) if isinstance(news, UploadNews) else None
        if known is None or known.charger != identity:
            return
        known.status, known.why, known.ended = news.status, news.why, known.ended or news.ended
        known.heard.set()
        if known.failed:
            log.warning("%s: no diagnostics: %s %s", identity, news.status, news.why)
