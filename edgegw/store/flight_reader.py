"""Frames and lines of the flight recorder, for who asks: what is in the file and what is on its way there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from edgegw.core.flight import FORMAT, FRAMES, Line, encode_line
from edgegw.runtime.flight_recorder import STATE_EVERY_S, FlightRecorder
from edgegw.store.flight import FlightFile

PAGES_MAX: Final = 50  # of blocks, per question: a rare action is not looked for in hours of frames at once
TOP: Final = 2**62


class FlightReader:
    def __init__(self, recorder: FlightRecorder, file: FlightFile) -> None:
        self.recorder = recorder
        self._file = file

    async def frames(
        self,
        charger: str | None,
        *,
        before: int | None,
        limit: int,
        action: str | None = None,
        since_at: float = 0.0,
    ) -> tuple[list[Line], int | None]:
        """The newest frames with n < `before`, newest last; and the `before` of the page before, if any."""

        def fits(line: Line) -> bool:
            return line.what in FRAMES and (action is None or line.action == action) and line.at >= since_at

        top = TOP if before is None else before
        memory = await self._file.unpacked(self.recorder.unwritten(), charger)
        found = [line for line in reversed(memory) if line.n < top and fits(line)]
        reached = min([top, *(line.n for line in memory)])
        below: int | None = None
        for _ in range(PAGES_MAX):
            if len(found) >= limit:
                break
            lines, below = await self._file.newest(charger, before_n=reached, since_at=since_at, below=below)
            found += [line for line in reversed(lines) if fits(line)]
            reached = min([reached, *(line.n for line in lines)])
            if below is None:
                break
        more = len(found) > limit or below is not None or (len(found) == limit and reached > 1)
        page = found[:limit]
        if len(found) >= limit:
            reached = page[-1].n
        return page[::-1], reached if more and found else None

    async def export(
        self, charger: str | None, since_at: float, about: dict[str, object]
    ) -> AsyncIterator[bytes]:
        """A flight file in pieces: a header, lines, and an end that says how many there were.

        It begins a little before `since_at`, so that there is a state from which to decide again.
        """
        yield encode_line({"edgegw_flight": FORMAT, **about, **self.recorder.header()}) + b"\n"
        since_at = max(0.0, since_at - STATE_EVERY_S)
        count = last = after = 0
        while True:
            memory = self.recorder.unwritten()
            lines, reached = await self._file.since(charger, since_at, after)
            if reached == after:
                lines = await self._file.unpacked(memory, charger)
            lines = [line for line in lines if line.n > last]
            if lines:
                last = lines[-1].n
                count += len(lines)
                yield b"\n".join([encode_line(line) for line in lines]) + b"\n"
            if reached == after:
                break
            after = reached
        yield encode_line({"edgegw_flight_end": count}) + b"\n"
