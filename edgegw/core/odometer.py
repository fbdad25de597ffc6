"""One connector's energy, counted by the gateway from a register that may restart, roll over, jump or lie.

Rules of this file:
- The total never falls. A register that rises by what can have flowed adds its rise, however often and by
  whatever message it is told.
- Readings go by the charger's own times: one that is older than the last says nothing new. A clock that was
  set back is believed again when its times have gone along with ours for CLOCK_BELIEVED_S.
- A register that falls began anew at zero, when a session begins between the two readings or the next
  reading confirms it; any other jump is believed when the next reading follows it, and adds nothing.
- A session's own first register adds nothing when it is lower: nothing flows between sessions.
- What was there before the first reading is not ours.

What it can promise: never more than has flowed, save a rise within what could have flowed since the last
reading (a new meter that stands a little higher than the old one). Less than has flowed only by what was
never told before a register began anew, or between a wrong reading and the one that follows it.
"""

from __future__ import annotations

import msgspec

from edgegw.core.events import Instant

ROLLOVER_WH = 2**32
ROOM_MAX_WH = 10_000_000.0  # as `sanity.METER_JUMP_WH_MAX`: no car takes that, however long nobody looked
SLACK_WH = 1000.0  # a register in whole kWh may be late by one
SAID_GRAIN_S = 60.0  # some chargers write whole minutes
CLOCK_BELIEVED_S, PACED_READINGS = 600.0, 3
PACE_OFF, PACE_OFF_S = 0.1, 5.0  # messages that were stored come faster than they were made


class Reading(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A register and where it was read. `power_w`: the most that the connector can give."""

    wh: int
    said_at: float | None = None  # the charger's own clock, seconds since 1970; None: it makes no sense
    coarse: bool = False  # told in kWh
    transaction: str = ""  # "" not said
    begins: bool = False  # of a session's own beginning
    charging: bool = True  # False: outside of every transaction
    power_w: float


class Kept(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The document of one connector."""

    total_wh: int
    register_wh: int
    said_at: float | None = None
    read_at: float = 0.0  # wall; 0: nobody knew the time
    transaction: str = ""
    room_wh: int = 0


class _Track(msgspec.Struct, frozen=True, gc=False):
    """Where the register stood, or may have: what the next reading is measured against."""

    wh: int
    said_at: float | None
    owed_wh: int = 0  # flows in when the next reading confirms this track


class _Pace(msgspec.Struct, frozen=True, gc=False):
    """Readings older than what is known, one after the other."""

    first_said: float
    first_mono: float
    last_said: float
    count: int

    def goes_on_to(self, said_at: float, mono: float) -> bool:
        passed_s = mono - self.first_mono
        return abs(said_at - self.first_said - passed_s) <= PACE_OFF_S + PACE_OFF * passed_s


class Odometer:
    __slots__ = (
        "_left",
        "_other",
        "_read_mono",
        "_read_wall",
        "_room_wh",
        "_set_back",
        "_track",
        "session",
        "total_wh",
    )

    def __init__(self) -> None:
        self.total_wh = 0
        self.session = ""  # transaction of the last reading; "" just begun, or not said
        self._left = ""  # the session before
        self._track: _Track | None = None  # what is believed
        self._other: _Track | None = None  # what the last reading said instead, or what was believed before
        self._room_wh = 0.0  # what can have flowed by now and was not told
        self._read_mono: float | None = None  # None: not since the start
        self._read_wall = 0.0
        self._set_back: _Pace | None = None  # perhaps the charger's clock was

    def read(self, reading: Reading, now: Instant) -> bool:
        """True when the register is not where it was before."""
        before = self._track
        if before is None:
            self._note_time(now)
            self._follow(reading, 0)
            return True
        if self._is_old(before, reading, now):
            return False
        self._make_room(reading.power_w, now)
        self._judge(self._track or before, reading)
        return self._track != before

    def stands_at(self, reading: Reading) -> bool:
        """`reading` is believed."""
        track = self._track
        return track is not None and track.wh == reading.wh and track.said_at == reading.said_at

    def _judge(self, track: _Track, reading: Reading) -> None:
        if self._rises(track, reading):
            return self._follow(reading, reading.wh - track.wh)
        if _is_rounding(track, reading):
            return
        other = self._other
        if other is not None and _is_further(other, reading) and self._rises(other, reading):
            return self._follow(reading, reading.wh - other.wh + other.owed_wh)
        fell = reading.wh < track.wh
        owed_wh = self._anew(track, reading) if fell else 0
        is_believed = reading.begins or (reading.wh > 0 and self._is_other_session(reading))
        if fell and is_believed:
            self._follow(reading, owed_wh)
            self._other = track
        else:  # a meter that is out of reach is often told as zero
            self._other = _Track(reading.wh, reading.said_at, owed_wh)

    def _follow(self, reading: Reading, rise_wh: int) -> None:
        self.total_wh += rise_wh
        self._room_wh = max(0.0, self._room_wh - rise_wh)
        self._track, self._other = _Track(reading.wh, reading.said_at), None
        if reading.begins or self._is_other_session(reading):
            self._left = self.session
        if reading.transaction or reading.begins:
            self.session = reading.transaction

    def _is_other_session(self, reading: Reading) -> bool:
        return bool(self.session and reading.transaction) and reading.transaction != self.session

    # --- what can be ------------------------------------------------------------------------------

    def _rises(self, track: _Track, reading: Reading) -> bool:
        rise_wh = reading.wh - track.wh
        return rise_wh >= 0 and self._fits(track, reading, rise_wh)

    def _anew(self, track: _Track, reading: Reading) -> int:
        """What has flowed if the register rolled over, or else began anew at zero."""
        rolled_wh = reading.wh + ROLLOVER_WH - track.wh
        if rolled_wh >= 0 and self._fits(track, reading, rolled_wh):
            return rolled_wh
        flows = reading.charging and not reading.begins
        return reading.wh if flows and self._fits(track, reading, reading.wh) else 0

    def _fits(self, track: _Track, reading: Reading, rise_wh: int) -> bool:
        room_wh = self._room_wh
        if reading.said_at is not None and track.said_at is not None:
            said_s = max(0.0, reading.said_at - track.said_at) + SAID_GRAIN_S
            room_wh = min(room_wh, reading.power_w * said_s / 3600)
        return rise_wh <= room_wh + SLACK_WH

    def _make_room(self, power_w: float, now: Instant) -> None:
        """What can have flowed since the last reading; messages that come late in a burst share it."""
        if self._read_mono is not None:
            passed_s = now.mono - self._read_mono
        elif self._read_wall and now.trusted and now.wall >= self._read_wall:
            passed_s = now.wall - self._read_wall
        else:
            passed_s = float("inf")  # over a restart that nobody timed
        self._room_wh = min(ROOM_MAX_WH, self._room_wh + power_w * passed_s / 3600)
        self._note_time(now)

    def _note_time(self, now: Instant) -> None:
        self._read_mono = now.mono
        self._read_wall = now.wall if now.trusted else 0.0

    # --- which is older ---------------------------------------------------------------------------

    def _is_old(self, track: _Track, reading: Reading, now: Instant) -> bool:
        said_at = reading.said_at
        if said_at is None or track.said_at is None or said_at >= track.said_at:
            self._set_back = None
            is_same_moment = said_at is not None and said_at == track.said_at
            return is_same_moment and bool(self._left) and reading.transaction == self._left
        if not self._keeps_pace(said_at, now):
            return True
        self._track, self._other = _Track(track.wh, None), None  # the charger's clock was set back
        return False

    def _keeps_pace(self, said_at: float, now: Instant) -> bool:
        """Older readings go along with our clock, and have for a while: they are no late ones."""
        pace = self._set_back
        if pace is None or not pace.goes_on_to(said_at, now.mono):
            self._set_back = _Pace(said_at, now.mono, said_at, 1)
            return False
        count = pace.count + (said_at > pace.last_said)
        self._set_back = _Pace(pace.first_said, pace.first_mono, said_at, count)
        return now.mono - pace.first_mono >= CLOCK_BELIEVED_S and count >= PACED_READINGS

    # --- over a restart ---------------------------------------------------------------------------

    def keep(self) -> Kept | None:
        """None: it never read anything."""
        if self._track is None:
            return None
        return Kept(
            total_wh=self.total_wh,
            register_wh=self._track.wh,
            said_at=self._track.said_at,
            read_at=self._read_wall,
            transaction=self.session,
            room_wh=int(self._room_wh),
        )

    def recover(self, kept: Kept) -> None:
        self.total_wh = kept.total_wh
        self.session = kept.transaction
        self._track = _Track(kept.register_wh, kept.said_at)
        self._read_wall = kept.read_at
        self._room_wh = float(kept.room_wh)


def _is_further(track: _Track, reading: Reading) -> bool:
    """Another reading, not the same told again; and a meter that is out of reach is zero for a while."""
    is_later = track.said_at is None or reading.said_at is None or reading.said_at > track.said_at
    return is_later and reading.wh > 0


def _is_rounding(track: _Track, reading: Reading) -> bool:
    """A little less than before: the same register, told less exactly."""
    fall_wh = track.wh - reading.wh
    if not 0 < fall_wh < SLACK_WH or (reading.begins and not reading.wh):
        return False
    return reading.coarse or reading.wh > track.wh / 2
