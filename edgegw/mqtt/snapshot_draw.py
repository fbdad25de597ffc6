"""What one connector draws now, as far as its charger says; None where nobody knows.

Rules of this file:
- The charger's own power counts; without it the balancer's currents times the nominal voltage.
- A connector whose newest word says that no current flows draws nothing, unless it measured something since.
- A charger that is away draws what it likes: nobody knows.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from edgegw.core import draw
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.state import Sample
from edgegw.mqtt.numbers import phases, whole
from edgegw.mqtt.payloads import PhaseValues

SAMPLE_OLD_S = 900.0  # chargers that measure at all do so every quarter of an hour at least
# 1.6 ChargePointStatus, 2.x ConnectorStatus and chargingState: no current flows
NO_CURRENT = frozenset(
    {"Available", "Reserved", "Preparing", "Finishing", "SuspendedEV", "SuspendedEVSE", "Idle", "EVConnected"}
)


class Draw(NamedTuple):
    power_w: float | None
    current_l_a: PhaseValues  # the charger's own L1, L2, L3


UNKNOWN = Draw(None, (None, None, None))
NOTHING = Draw(0.0, (0.0, 0.0, 0.0))


class DrawMaker:
    """Of one connector; a sample is read once."""

    __slots__ = ("_draw", "_of")

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._draw = UNKNOWN

    def draw(
        self, power: ConnectorPower | None, sample: Sample | None, word: str, nominal_v: float, now: Instant
    ) -> Draw:
        """`word`: its status, or the chargingState of its transaction. The charger is connected."""
        at = sample.at if sample is not None else None
        if word in NO_CURRENT and (power is None or at is None or at < power.said_at):
            return NOTHING
        if sample is None or now.mono - sample.at > SAMPLE_OLD_S:
            return UNKNOWN
        drawn_a = power.drawn_a if power is not None else None
        if self._of != (sample, drawn_a):
            self._of, self._draw = (sample, drawn_a), _read(power, sample, nominal_v)
        return self._draw


def _read(power: ConnectorPower | None, sample: Sample, nominal_v: float) -> Draw:
    said = draw.said(_meter_values(sample.raw), nominal_v)
    power_w = said.power_w if said is not None else None
    amps = said.current_l_a if said is not None else (None, None, None)
    if power is not None and power.drawn_a is not None and power.drawn_at >= sample.at:
        amps = power.drawn_a
        if power_w is None:
            power_w = _reckoned_w(power, nominal_v)
    return Draw(whole(power_w), phases(amps))


def _meter_values(raw: bytes) -> object:
    try:
        return orjson.loads(raw)[3].get("meterValue")
    except (ValueError, LookupError, AttributeError, TypeError):
        return None  # a message that was signed, or is no CALL


def _reckoned_w(power: ConnectorPower, nominal_v: float) -> float | None:
    """Of a DC charger: for the car, as the charger would say it; its amps here are those from the mains."""
    known = [amps for amps in power.drawn_a or () if amps is not None]
    factor = power.wiring.efficiency if power.wiring.dc else 1.0
    return sum(known) * nominal_v * factor if known else None
