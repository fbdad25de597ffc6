"""The energy of every connector of one charger, as the gateway counts it; kept as one document each.

What is shown is what was handed to the store: shown once, it is there after a restart as well. So it may be
WRITE_EVERY_S behind the charger, and it never falls.

Nearly all readings go on from the one before: later, of the same session, and higher by no more than is
always believed (SLACK_WH). Such a one waits as it came until one does not go on from it, or until it is to be
written; when another goes on from it, it need not be read at all, because the registers add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from edgegw.core.events import Instant
from edgegw.core.meter_values import EnergyRead, energy_reads, plain_read, said_s
from edgegw.core.odometer import SLACK_WH, Kept, Odometer, Reading
from edgegw.core.records import Document

CONNECTORS_MAX = 64  # as `sanity.CONNECTOR_MAX`: more than any charging station has
WRITE_EVERY_S = 60.0  # per connector; 200 connectors cost the store 3 small writes a second
NEVER = float("inf")

_decoder = msgspec.json.Decoder(Kept)


class _Line:
    """One connector."""

    __slots__ = (
        "_meter",
        "_power_w",
        "_sure_wh",
        "_told",
        "_waits",
        "_wh",
        "is_new",
        "shown_wh",
        "written_at",
    )

    def __init__(self) -> None:
        self._meter = Odometer()
        self.shown_wh = 0
        self.is_new = False  # read since it was written
        self.written_at = -NEVER  # mono
        self._waits: tuple[tuple[int, Any], Instant] | None = None  # surely believed, not read yet
        self._wh = self._sure_wh = 0  # of the last one that is believed; up to where the next surely is
        self._told = ""  # its time; "" when it has none that others can be compared with
        self._power_w = 0.0

    @property
    def meter(self) -> Odometer:
        """With all that was said."""
        self._catch_up()
        return self._meter

    def read(self, reading: Reading, told: object, now: Instant) -> bool:
        self._catch_up()
        return self._read(reading, told, now)

    def _catch_up(self) -> None:
        if self._waits is not None:
            ((wh, told), at), self._waits = self._waits, None
            self._read(Reading(wh=wh, said_at=said_s(told), power_w=self._power_w), told, at)

    def _read(self, reading: Reading, told: object, now: Instant) -> bool:
        is_new = self._meter.read(reading, now)
        self._wh, self._sure_wh, self._power_w = reading.wh, reading.wh + int(SLACK_WH), reading.power_w
        is_sure = type(told) is str and reading.said_at is not None and self._meter.stands_at(reading)
        self._told = str(told) if is_sure else ""
        return is_new

    def goes_on(self, plain: tuple[int, Any], transaction: str, now: Instant) -> bool:
        """True: it surely follows, and is kept. Times that are written alike in UTC compare as texts."""
        (wh, told), before = plain, self._told
        if not self._wh <= wh <= self._sure_wh or (transaction and transaction != self._meter.session):
            return False
        if type(told) is not str or len(told) != len(before) or told <= before or told[-1] != "Z":
            return False
        self._waits, self._wh, self._told = (plain, now), wh, told
        return True


class EnergyBook:
    """`due_at`: when something is worth writing (mono); infinity: nothing is."""

    __slots__ = ("_evses", "_lines", "due_at")

    def __init__(self) -> None:
        self._lines: dict[int, _Line] = {}
        self._evses: dict[str, int] = {}  # 2.x transactions whose record is not made yet
        self.due_at = NEVER

    def total_wh(self, connector: int) -> int:
        """Never falls; 0 for a connector that nothing was heard of. 2.x: of an EVSE."""
        line = self._lines.get(connector)
        return line.shown_wh if line is not None else 0

    @property
    def totals_wh(self) -> Mapping[int, int]:
        """By connector, of all that were ever heard of."""
        return {connector: line.shown_wh for connector, line in sorted(self._lines.items())}

    def registers(self) -> Iterator[tuple[str, int]]:
        """Where each register stood last, with the transaction that it was told of."""
        for line in self._lines.values():
            kept = line.meter.keep()
            if kept is not None and kept.transaction:
                yield kept.transaction, kept.register_wh

    # --- what is said -----------------------------------------------------------------------------

    def unsure(
        self, connector: int, meter_values: object, transaction: str, now: Instant
    ) -> Sequence[EnergyRead]:
        """The registers in `meter_values` that must be read now; mostly none: the only one surely follows."""
        line, plain = self._lines.get(connector), plain_read(meter_values)
        if plain is None:
            reads = energy_reads(meter_values)
            plain = (reads[0].wh, reads[0].said_at) if len(reads) == 1 else None
        if line is None or plain is None or not line.goes_on(plain, transaction, now):
            return energy_reads(meter_values)
        if not line.is_new:
            self._note_new(line)
        return ()

    def read(self, connector: int, reading: Reading, told: object, now: Instant) -> None:
        """`told`: the charger's own text of the time."""
        line = self._lines.get(connector)
        if line is None:
            if not 1 <= connector <= CONNECTORS_MAX:
                return
            line = self._lines[connector] = _Line()
        if line.read(reading, told, now):
            self._note_new(line)

    def _note_new(self, line: _Line) -> None:
        line.is_new = True
        self.due_at = min(self.due_at, line.written_at + WRITE_EVERY_S)

    def began_on(self, transaction: str, evse: int) -> None:
        """2.x: later events of a transaction need not say where it is."""
        self._evses[transaction] = evse
        if len(self._evses) > CONNECTORS_MAX:
            del self._evses[next(iter(self._evses))]

    def ended(self, transaction: str) -> None:
        self._evses.pop(transaction, None)

    def evse_of(self, transaction: str) -> int:
        return self._evses.get(transaction, 0)

    # --- keep -------------------------------------------------------------------------------------

    def take_due(self, now: Instant, edge: int = 0) -> list[tuple[int, bytes]]:
        """(connector, document) of those to be written; of connector `edge` whenever it was written last."""
        found = []
        self.due_at = NEVER
        for connector, line in self._lines.items():
            if not line.is_new:
                continue
            due_at = now.mono if connector == edge else line.written_at + WRITE_EVERY_S
            kept = line.meter.keep()
            if due_at > now.mono or kept is None:
                self.due_at = min(self.due_at, due_at)
                continue
            line.is_new, line.written_at, line.shown_wh = False, now.mono, kept.total_wh
            found.append((connector, msgspec.json.encode(kept)))
        return found

    def recover(self, document: Document) -> None:
        """A document that cannot be read (of a later edgegw) is no reason not to serve the charger."""
        try:
            kept, connector = _decoder.decode(document.value), int(document.key)
        except (msgspec.DecodeError, ValueError):
            return
        line = self._lines[connector] = _Line()
        line.meter.recover(kept)
        line.shown_wh = kept.total_wh
