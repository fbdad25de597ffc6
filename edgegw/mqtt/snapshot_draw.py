"""What one connector draws now, for the view that is published. The rules of `control.drawn` hold here.

Rules of this file: the charger's own power counts; without it the balancer's amps times the nominal voltage.
"""

from __future__ import annotations

from typing import NamedTuple

from edgegw.control import drawn
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.state import Sample
from edgegw.mqtt.numbers import phases, whole
from edgegw.mqtt.payloads import PhaseValues


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
        if drawn.is_idle(power, sample, word):
            return NOTHING
        if sample is None or drawn.is_old(sample, now):
            return UNKNOWN
        drawn_a = power.drawn_a if power is not None else None
        if self._of != (sample, drawn_a):
            self._of, self._draw = (sample, drawn_a), _read(power, sample, nominal_v)
        return self._draw


def _read(power: ConnectorPower | None, sample: Sample, nominal_v: float) -> Draw:
    said = drawn.said(sample, nominal_v)
    power_w = said.power_w if said is not None else None
    amps = said.current_l_a if said is not None else (None, None, None)
    known = drawn.known_amps(power, sample)
    if power is not None and known is not None:
        amps = known
        if power_w is None:
            power_w = _reckoned_w(power, nominal_v)
    return Draw(whole(power_w), phases(amps))


def _reckoned_w(power: ConnectorPower, nominal_v: float) -> float | None:
    """Of a DC charger: for the car, as the charger would say it; its amps here are those from the mains."""
    known = [amps for amps in power.drawn_a or () if amps is not None]
    factor = power.wiring.efficiency if power.wiring.dc else 1.0
    return sum(known) * nominal_v * factor if known else None
