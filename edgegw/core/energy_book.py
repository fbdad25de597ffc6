"""The energy of every connector of one charger, as the gateway counts it; kept as one document each.

What is shown is what was handed to the store: shown once, it is there after a restart as well. So it may be
WRITE_EVERY_S behind the charger, and it never falls.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edgegw.core.events import Instant
from edgegw.core.odometer import Kept, Odometer, Reading
from edgegw.core.records import Document

CONNECTORS_MAX = 64  # as `sanity.CONNECTOR_MAX`: more than any charging station has
WRITE_EVERY_S = 60.0  # per connector; 200 connectors cost the store 3 small writes a second
NEVER = float("inf")

_decoder = msgspec.json.Decoder(Kept)


class _Line:
    """One connector."""

    __slots__ = ("is_new", "meter", "shown_wh", "written_at")

    def __init__(self) -> None:
        self.meter = Odometer()
        self.shown_wh = 0
        self.is_new = False  # read since it was written
        self.written_at = -NEVER  # mono


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

    # --- what is said -----------------------------------------------------------------------------

    def read(self, connector: int, reading: Reading, now: Instant) -> None:
        line = self._lines.get(connector)
        if line is None:
            if not 1 <= connector <= CONNECTORS_MAX:
                return
            line = self._lines[connector] = _Line()
        if line.meter.read(reading, now):
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
