"""Frames, for who wants to see them. The rules of `control.service` hold here too.

Rules of this file:
- What a frame breaks of its schema is worked out for those who look, never on its way.
- A stream is a bounded buffer that the recorder fills in passing; who is too slow is told what is missing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from edgegw import __version__
from edgegw.control import frame_models as models
from edgegw.control.event_stream import COMMENT_EVERY_S, QUIET, Seats, event
from edgegw.control.problem import Problem
from edgegw.core.flight import FRAMES, SENT, TURNED_AWAY, Line
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.store.flight_reader import FlightReader
from edgegw.wire import frames
from edgegw.wire.schemas import Kind, Schemas
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import Version

BUFFER_FRAMES = 1000  # of one stream
PORTION = 50  # frames made ready in one go
VIEWS_AT_ONCE = 50

_KINDS: dict[int, models.FrameKind] = {
    frames.CALL: "CALL",
    frames.CALLRESULT: "CALLRESULT",
    frames.CALLERROR: "CALLERROR",
    frames.CALLRESULTERROR: "CALLRESULTERROR",
    frames.SEND: "SEND",
}
_SCHEMA_OF: dict[int, Kind] = {frames.CALL: "request", frames.CALLRESULT: "response", frames.SEND: "send"}


class FrameDesk:
    def __init__(self, gateway: Gateway, reader: FlightReader | None, *, site_id: str) -> None:
        """None: nothing is recorded."""
        self.seats = Seats()
        self._gateway = gateway
        self._reader = reader
        self._site_id = site_id
        self._schemas = Schemas()
        self._streams: set[_Buffer] = set()
        self._stopping = False

    def close(self) -> None:
        """Streams end."""
        self._stopping = True
        for buffer in self._streams:
            buffer.wake.set()

    async def frames(
        self, charger: str | None, before: int | None, limit: int, action: str | None, since_s: float | None
    ) -> models.FrameList:
        """Raises Problem."""
        reader = self._recorded()
        since_at = 0.0 if since_s is None else clock.now().wall - since_s
        found, next_before = await reader.frames(
            charger, before=before, limit=limit, action=action, since_at=since_at
        )
        if charger is not None and not found:
            self._known(charger)
        views: list[models.FrameView] = []
        for first in range(0, len(found), VIEWS_AT_ONCE):
            views += [self._view(line) for line in found[first : first + VIEWS_AT_ONCE]]
            await asyncio.sleep(0)
        return models.FrameList(frames=tuple(views), next_before=next_before)

    def export(self, charger: str | None, since_s: float | None) -> AsyncIterator[bytes]:
        """A flight file. Raises Problem."""
        reader = self._recorded()
        if charger is not None:
            self._known(charger)
        now = clock.now().wall
        about = {
            "site_id": self._site_id,
            "edgegw": __version__,
            "exported_at": now,
            "charger": charger or "",
        }
        return reader.export(charger, 0.0 if since_s is None else now - since_s, about)

    def _recorded(self) -> FlightReader:
        if self._reader is None:
            text = (
                "no frames are kept here: [store] flight_quota of the site file is 0, or the telemetry file"
                " cannot be used (the log says so)"
            )
            raise Problem(409, "no_frames", text)
        return self._reader

    def _known(self, charger: str) -> None:
        if charger not in self._gateway.sessions and charger not in self._gateway.settings.known:
            raise Problem(404, "no_such_charger", f"no charger {charger!r} is known here")

    # --- as they pass -----------------------------------------------------------------------------

    def stream(self, charger: str | None) -> AsyncGenerator[bytes, None]:
        """Events `frame`, and `dropped` where some are missing. Raises Problem."""
        reader = self._recorded()
        if charger is not None:
            self._known(charger)
        return self._stream(reader, _Buffer(charger))

    async def _stream(self, reader: FlightReader, buffer: _Buffer) -> AsyncGenerator[bytes, None]:
        listeners = reader.recorder.listeners
        listeners.append(buffer.take)
        self._streams.add(buffer)
        try:
            yield QUIET
            while not self._stopping:
                yield await self._next(buffer)
        finally:
            self._streams.discard(buffer)
            listeners.remove(buffer.take)

    async def _next(self, buffer: _Buffer) -> bytes:
        try:
            async with asyncio.timeout(COMMENT_EVERY_S):
                await buffer.wake.wait()
        except TimeoutError:
            return QUIET
        blocks = []
        if buffer.dropped:
            missed = models.FramesMissed(count=buffer.dropped)
            buffer.dropped = 0
            blocks.append(event("dropped", missed.model_dump_json().encode()))
        while buffer.lines and len(blocks) < PORTION:
            view = self._view(buffer.lines.popleft())
            blocks.append(event("frame", view.model_dump_json().encode()))
        if not buffer.lines and not self._stopping:
            buffer.wake.clear()
        return b"".join(blocks)

    # --- one frame --------------------------------------------------------------------------------

    def _view(self, line: Line) -> models.FrameView:
        return models.FrameView(
            n=line.n,
            at=format_timestamp(line.at),
            charger=line.charger,
            leg="charger" if FRAMES[line.what] == "charger" else "cloud",
            direction="out" if line.what in SENT else "in",
            kind="bad" if line.what in TURNED_AWAY else _KINDS.get(line.kind, "bad"),
            action=line.action,
            message_id=line.id,
            size_bytes=line.size,
            text=line.shown,
            complaints=self._complaints(line),
        )

    def _complaints(self, line: Line) -> tuple[str, ...]:
        if line.what in TURNED_AWAY:
            return (f"refused: {line.rule}",)
        kind = _SCHEMA_OF.get(line.kind)
        if kind is None or not line.action or line.cut:
            return ()
        version = self._version(line.charger)
        try:
            frame = frames.parse(line.shown.encode(), version)
        except frames.FrameRefused:
            return ()  # of another version, or what was left out of it was half of a member
        payload = getattr(frame, "payload", {})
        found = self._schemas.complaints(version, kind, line.action, payload)
        return tuple(f"{one.path}: {one.text}".removeprefix(": ") for one in found)

    def _version(self, charger: str) -> Version:
        session = self._gateway.sessions.get(charger)
        return session.version if session is not None else Version.V16


class _Buffer:
    """What one stream has not sent yet."""

    def __init__(self, charger: str | None) -> None:
        self.lines: deque[Line] = deque()
        self.dropped = 0
        self.wake = asyncio.Event()
        self._charger = charger

    def take(self, lines: Sequence[Line]) -> None:
        for line in lines:
            if line.what in FRAMES and self._charger in (None, line.charger):
                if len(self.lines) >= BUFFER_FRAMES:
                    self.lines.popleft()
                    self.dropped += 1
                self.lines.append(line)
                self.wake.set()
