"""What was recorded, decided again: the lines of a flight file through `Charger`, and where the two differ.

Pure: lines in, what happened out. Instants and message ids are the recorded ones, so the decisions are
the same as far as they stand on the same knowledge.

Rules of this file:
- A charger is decided for again from its first `state_kept` on; before that, and behind lines that are
  missing, nobody knows what its decisions stood on.
- What the core wants sent now is held against what was sent then, in order, per connection.
- The lists of cards, orders about files and rows that other lives of the box left are not in a recording as a
  whole: a difference may come from there. It is shown, not judged.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from datetime import tzinfo
from itertools import islice
from typing import Any

import msgspec

from edgegw.core import flight, flight_site
from edgegw.core.charger import Charger
from edgegw.core.effects import Effect, SendCharger, SendCloud
from edgegw.core.events import (
    ChargerConnected,
    ChargerLost,
    ChargerSpoke,
    CloudLost,
    CloudSpoke,
    Event,
    Instant,
)
from edgegw.core.flight import Line, StateKept
from edgegw.core.site import Site
from edgegw.wire.frames import FrameRefused, parse
from edgegw.wire.versions import Version

log = logging.getLogger(__name__)

AHEAD_MAX = 32  # frames that may be sent in another order before they count as missing
WANTED_MAX = 1000  # of one connection, never seen sent
LATE_S = 5.0  # what is decided that shortly before the end may not have been sent any more


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One line, and what the core decided on it. `note`: why it did not, or what is to be known."""

    line: Line
    event: Event | None = None
    effects: tuple[Effect, ...] = ()
    note: str = ""


class Differs(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that was sent then and not now, or now and not then."""

    at: float
    charger: str
    leg: str
    then: bool  # it was sent then
    text: str


class Counts(msgspec.Struct):
    events: int = 0  # decided again
    undecided: int = 0
    same: int = 0  # frames that were sent then and now
    differing: int = 0
    unsent: int = 0  # decided on, and the connection ended, or the recording
    unjudged: int = 0  # sent then, by decisions that cannot be made again
    missing: int = 0  # what the recorder itself had to drop


Shown = Callable[[bytes], str]


class Replay:
    """`feed` every line in order, then `end`."""

    def __init__(self, site_data: Any, zone: Callable[[str], tzinfo], shown: Shown) -> None:
        """`shown`: a frame as the recorder would keep it. Raises ValueError for what are no policies."""
        self.counts = Counts()
        self._zone = zone
        self._shown = shown
        self._ids: deque[str] = deque()
        self._made = itertools.count(1)
        self._site = self._new_site(site_data)
        self._chargers: dict[str, _Replayed] = {}
        self._waits: tuple[Line, Event] | None = None  # for the ids that were given with it
        self._at = 0.0

    def _new_site(self, data: Any) -> Site:
        kept = flight_site.from_data(data, self._zone)
        return Site(kept.policy, self._new_id, kept.power, kept.files)

    def _new_id(self) -> str:
        return self._ids.popleft() if self._ids else f"replay-{next(self._made)}"

    def feed(self, line: Line) -> Iterator[Decided | Differs]:
        """Raises ValueError for a line that no recorder wrote."""
        if line.what == "id_given":
            self._ids.append(str(flight.from_data(line.what, line.data).id))
            return
        yield from self._decide_now()
        self._at = line.mono
        if line.what == flight.STARTED:
            yield self._box_started(line)
        elif line.what == "missing":
            yield self._lines_missing(line)
        elif line.what == "state_kept":
            yield from self._state(line)
        elif line.what in flight.SENT:
            yield from self._sent(line)
        elif line.what in flight.TURNED_AWAY:
            self._of(line.charger).replies[flight.TURNED_AWAY[line.what]] += 1
            yield Decided(line=line, note=f"turned away ({line.rule}): nothing was decided")
        elif line.what in flight.SPOKE or line.what in flight.KINDS:
            yield from self._happened(line)
        else:
            raise ValueError(f'nothing that edgegw records is called "{line.what[:40]}"')

    def end(self) -> Iterator[Decided | Differs]:
        yield from self._decide_now()
        for one in self._chargers.values():
            for leg in one.wanted:
                yield from self._not_sent(one, leg, over=lambda mono: mono > self._at - LATE_S)

    # --- the box ------------------------------------------------------------------------------------

    def _box_started(self, line: Line) -> Decided:
        data = line.data if isinstance(line.data, dict) else {}
        fresh = self._new_site(data.get("site", {}))
        if data.get("start") is False:
            self._site.power = fresh.power
            return Decided(line=line, note="what the site decides about power changed")
        self._site = fresh
        self._chargers.clear()
        return Decided(line=line, note="edgegw started: chargers are what its store says")

    def _lines_missing(self, line: Line) -> Decided:
        count = flight.from_data(line.what, line.data).count
        self.counts.missing += count
        for one in self._chargers.values():
            one.doubtful = True
        return Decided(line=line, note=f"{count} events are missing here: the recorder had no room for them")

    def _of(self, identity: str) -> _Replayed:
        return self._chargers.setdefault(identity, _Replayed(identity))

    def _state(self, line: Line) -> Iterator[Decided | Differs]:
        kept: StateKept = flight.from_data(line.what, line.data)
        one = self._of(line.charger)
        if one.charger is not None and not one.doubtful and kept.why != "again":
            return
        one.begin(kept, self._site)
        note = "from here on it is decided again"
        if kept.early_left_out:
            note += f"; {kept.early_left_out} states and notices that waited for the cloud are not recorded"
        yield Decided(line=line, note=note)

    # --- events -------------------------------------------------------------------------------------

    def _happened(self, line: Line) -> Iterator[Decided | Differs]:
        one = self._of(line.charger)
        if one.charger is None:
            self.counts.undecided += 1
            yield Decided(line=line, note="not decided again: what it knew before is not in the recording")
            return
        try:
            event = one.event(line)
        except FrameRefused as refused:
            self.counts.undecided += 1
            one.doubtful = True
            why = "is not whole" if line.cut else f"cannot be read any more ({refused.rule})"
            yield Decided(line=line, note=f"not decided again: the recorded frame {why}")
            return
        self._waits = (line, event)

    def _decide_now(self) -> Iterator[Decided | Differs]:
        """The event that waited for its ids."""
        if self._waits is None:
            self._ids.clear()
            return
        (line, event), self._waits = self._waits, None
        one = self._of(line.charger)
        assert one.charger is not None
        try:
            effects = one.charger.handle(event, Instant(line.mono, line.at, not line.doubtful))
        except Exception as bug:  # the edge: what the runtime would catch there
            log.debug("replay: bug", exc_info=bug)
            one.charger = None
            yield Decided(line=line, event=event, note=f"a bug: {type(bug).__name__}: {bug}")
            return
        finally:
            self._ids.clear()
        self.counts.events += 1
        yield Decided(line=line, event=event, effects=tuple(effects))
        for effect in effects:
            one.want(effect, line)
        if isinstance(event, ChargerLost):
            yield from self._not_sent(one, "charger", over=lambda mono: True)
        elif isinstance(event, CloudLost):
            yield from self._not_sent(one, "cloud", over=lambda mono: True)

    # --- what was sent --------------------------------------------------------------------------------

    def _sent(self, line: Line) -> Iterator[Decided | Differs]:
        one, leg = self._of(line.charger), flight.SENT[line.what]
        wanted = one.wanted[leg]
        found = next(
            (k for k, (data, _) in enumerate(islice(wanted, AHEAD_MAX)) if self._fits(data, line)), None
        )
        if found is not None:
            for _ in range(found):
                yield self._now_only(one, leg, *wanted.popleft())
            wanted.popleft()
            self.counts.same += 1
        elif one.replies[leg]:
            one.replies[leg] -= 1  # to a message that was no frame: the session answers it, not the core
            self.counts.same += 1
        elif one.charger is None:
            self.counts.unjudged += 1
        else:
            self.counts.differing += 1
            yield Differs(at=line.at, charger=line.charger, leg=leg, then=True, text=line.shown)

    def _fits(self, data: bytes, line: Line) -> bool:
        return len(data) == line.size if line.cut else self._shown(data) == line.shown

    def _now_only(self, one: _Replayed, leg: str, data: bytes, decided: Line) -> Differs:
        self.counts.differing += 1
        return Differs(at=decided.at, charger=one.identity, leg=leg, then=False, text=self._shown(data))

    def _not_sent(self, one: _Replayed, leg: str, over: Callable[[float], bool]) -> Iterator[Differs]:
        wanted = one.wanted[leg]
        while wanted:
            data, decided = wanted.popleft()
            if over(decided.mono):
                self.counts.unsent += 1
            else:
                yield self._now_only(one, leg, data, decided)


class _Replayed:
    """One charger. `charger` None: what it stands on is not known."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.charger: Charger | None = None
        self.doubtful = False  # the next state is taken instead
        self.version = Version.V16
        self.wanted: dict[str, deque[tuple[bytes, Line]]] = {
            "charger": deque(maxlen=WANTED_MAX),
            "cloud": deque(maxlen=WANTED_MAX),
        }
        self.replies = {"charger": 0, "cloud": 0}

    def begin(self, kept: StateKept, site: Site) -> None:
        self.charger = Charger.recover(kept.recovery(self.identity), site)
        self.doubtful = False
        self.version = kept.version
        site.local_id_seen(kept.local_id)
        state = self.charger.state
        state.charger_up = state.to_charger.ready = kept.charger_up
        state.cloud_up = state.to_cloud.ready = kept.cloud_up
        for wanted in self.wanted.values():
            wanted.clear()

    def event(self, line: Line) -> Event:
        """Raises FrameRefused, ValueError."""
        if line.what not in flight.SPOKE:
            event: Event = flight.from_data(line.what, line.data)
            if isinstance(event, ChargerConnected):
                self.version = event.version
            return event
        frame = parse(line.shown.encode("utf-8", "surrogatepass"), self.version)
        return ChargerSpoke(frame) if line.what == "charger_spoke" else CloudSpoke(frame)

    def want(self, effect: Effect, line: Line) -> None:
        assert self.charger is not None
        state = self.charger.state
        if isinstance(effect, SendCharger) and (state.charger_up or line.what == "charger_lost"):
            self.wanted["charger"].append((effect.data, line))
        elif isinstance(effect, SendCloud) and (state.cloud_up or line.what == "cloud_lost"):
            self.wanted["cloud"].append((effect.data, line))
