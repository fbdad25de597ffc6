"""The frames that the console holds: a window on what the gateway has recorded. Pure.

Rules of this file:
- In order of their number, each once, without a hole that nobody is told of: what cannot be joined to the
  rest replaces it.
- At most KEPT_MAX. While the window is at the newest end the oldest go; when somebody pages back the newest
  go, when somebody reads there is no more room: then what comes is only counted, until `restart`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from edgegw.control.frame_models import FrameList, FrameView

KEPT_MAX = 2_000


class FrameLog:
    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self.frames: list[FrameView] = []
        self.has_older = False  # the recorder has frames before the first one
        self.newer = 0  # came, but are behind the end of the window
        self._edge: int | None = None  # the last frame before the stream was away

    @property
    def is_at_end(self) -> bool:
        return self.newer == 0

    @property
    def oldest(self) -> int | None:
        return self.frames[0].n if self.frames else None

    def stream_began(self) -> None:
        """What comes from now on may not follow on what is here: the next page tells."""
        if self._edge is None and self.frames:
            self._edge = self.frames[-1].n

    def restart(self) -> None:
        self.frames, self.newer, self.has_older, self._edge = [], 0, False, None

    def add(self, frames: Sequence[FrameView], *, stay: bool = False) -> None:
        """As they came over the stream. `stay`: somebody reads, so nothing goes to make room."""
        room = 0 if not self.is_at_end else max(0, self._kept_max - len(self.frames)) if stay else len(frames)
        self.newer += max(0, len(frames) - room)
        frames = frames[:room]
        if not frames:
            return
        last = self.frames[-1].n if self.frames else -1
        if frames[0].n > last and _in_order(frames):
            self.frames.extend(frames)
        else:
            self._merge(frames)
        self._drop_oldest()

    def join(self, page: FrameList) -> None:
        """The newest page of the recorder, asked for after the stream began."""
        edge, self._edge = self._edge, None
        if not self.is_at_end:
            return
        if edge is not None and page.frames and page.next_before is not None and page.frames[0].n > edge:
            self.frames = [frame for frame in self.frames if frame.n > edge]
        if not self.frames or (page.frames and page.frames[0].n <= self.frames[0].n):
            self.has_older = page.next_before is not None
        self._merge(page.frames)
        self._drop_oldest()

    def prepend(self, page: FrameList) -> None:
        """The page before the first one."""
        self.has_older = page.next_before is not None
        self._merge(page.frames)
        over = len(self.frames) - self._kept_max
        if over > 0:
            del self.frames[-over:]
            self.newer += over

    def _merge(self, frames: Iterable[FrameView]) -> None:
        known = {frame.n: frame for frame in self.frames}
        for frame in frames:
            known.setdefault(frame.n, frame)
        self.frames = [known[n] for n in sorted(known)]

    def _drop_oldest(self) -> None:
        over = len(self.frames) - self._kept_max
        if over > 0:
            del self.frames[:over]
            self.has_older = True


def _in_order(frames: Sequence[FrameView]) -> bool:
    return all(one.n < other.n for one, other in pairwise(frames))
