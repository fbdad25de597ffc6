"""The newest lines of the log, for who asks and who follows. The rules of `control.service` hold here too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

from edgegw.control import live_models as models
from edgegw.control.event_stream import COMMENT_EVERY_S, QUIET, event
from edgegw.logs import KeptLine, LogRing
from edgegw.wire.timestamps import format_timestamp

FOLLOWED_MIN = 20  # lines that a follower sees at once, to know where it is
TICK_S = 0.25
_LEVELS: dict[str, models.LevelName] = {
    "debug": "debug", "info": "info", "warning": "warning", "error": "error", "critical": "critical",
}  # fmt: skip


class LogDesk:
    def __init__(self, ring: LogRing | None) -> None:
        """None: nothing is kept."""
        self._ring = ring
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def close(self) -> None:
        self._stopping = True
        self._wake()

    def lines(self, limit: int) -> models.LogLines:
        kept = self._ring.after(0) if self._ring is not None else []
        return models.LogLines(lines=tuple(_view(line) for line in kept[-limit:]))

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The newest few, then each as it is written, at most four times a second."""
        kept = self._ring.after(0) if self._ring is not None else []
        told = kept[-1].n if kept else 0
        yield _events(kept[-FOLLOWED_MIN:]) or QUIET
        while not self._stopping:
            self._listen()
            new = self._ring.after(told) if self._ring is not None else []
            if new:
                told = new[-1].n
                yield _events(new)
                await asyncio.sleep(TICK_S)
            elif not await self._is_news():
                yield QUIET

    async def _is_news(self) -> bool:
        try:
            async with asyncio.timeout(COMMENT_EVERY_S):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _listen(self) -> None:
        """The ring calls from whatever thread logs; one call to the loop is enough until somebody looked."""
        if self._news.is_set() and not self._stopping:
            self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._ring is not None:
            self._ring.on_line = self._heard

    def _heard(self) -> None:
        if self._ring is not None:
            self._ring.on_line = None
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._news.set()


def _events(lines: Iterable[KeptLine]) -> bytes:
    return b"".join(event("line", _view(line).model_dump_json().encode()) for line in lines)


def _view(line: KeptLine) -> models.LogLine:
    level = _LEVELS.get(line.level, "info")
    return models.LogLine(
        n=line.n, at=format_timestamp(line.at), level=level, logger=line.logger, text=line.text
    )
